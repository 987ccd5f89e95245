"""Starting the processes of a training: their places, their endings, and signals."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from pixelcnn.errors import ConfigError
from pixelcnn.training import launch
from pixelcnn.training.processes import Processes, check_size, first_host, joined, placed
from training.trainings import assert_same_end


def python(code):
    return [sys.executable, "-S", "-c", f"import os, signal, sys, time; {code}"]


def test_every_process_has_its_place(tmp_path):
    told = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")
    path = f"{str(tmp_path)!r} + '/' + os.environ['RANK']"
    code = f"open({path}, 'w').write(repr([os.environ[key] for key in {told}]))"
    assert launch.supervise(python(code), devices=3, nodes=1) == 0
    for rank in "012":
        assert (tmp_path / rank).read_text() == repr([rank, "3", rank, "3", "127.0.0.1"])


def test_threads_are_shared_out_unless_somebody_said(monkeypatch):
    monkeypatch.setattr(launch, "cores", lambda: 8)
    (first, *_) = launch.environments({}, devices=3, nodes=1)
    assert first["OMP_NUM_THREADS"] == "2"
    (first, *_) = launch.environments({"OMP_NUM_THREADS": "5"}, devices=3, nodes=1)
    assert first["OMP_NUM_THREADS"] == "5"


def test_one_of_several_machines():
    meeting = {"MASTER_ADDR": "node0", "MASTER_PORT": "123"}
    places = launch.environments({**meeting, "NODE_RANK": "1"}, devices=2, nodes=3)
    assert [placed(place) for place in places] == [Processes(2, 6, 0, 2), Processes(3, 6, 1, 2)]
    with pytest.raises(ConfigError, match="where to meet") as caught:
        list(launch.environments({}, devices=2, nodes=3))
    assert "MASTER_ADDR" in caught.value.hint
    with pytest.raises(ConfigError, match="NODE_RANK must be a number"):
        list(launch.environments({**meeting, "NODE_RANK": ""}, devices=2, nodes=3))


def test_the_first_failure_is_the_exit_code(monkeypatch):
    monkeypatch.setattr(launch, "GRACE", 0.5)
    code = "sys.exit(5) if os.environ['RANK'] == '1' else time.sleep(60)"
    start = time.monotonic()
    assert launch.supervise(python(code), devices=2, nodes=1) == 5
    assert time.monotonic() - start < 30


def test_a_killed_process_is_a_failure_and_told_of(monkeypatch, caplog):
    monkeypatch.setattr(launch, "GRACE", 0.5)
    code = "os.kill(os.getpid(), 9) if os.environ['RANK'] == '0' else time.sleep(60)"
    assert launch.supervise(python(code), devices=2, nodes=1) == 1
    assert "process 0 on this machine was ended by signal 9, as where memory" in caplog.text


@pytest.mark.parametrize(
    ("paths", "typer", "code", "said"),
    [
        ([], "raise SystemExit(7)", 0, b""),
        ([""], "raise SystemExit(7)", 7, b""),
        ([""], "raise KeyboardInterrupt", 130, b"pixelcnn: error: interrupted\n"),
    ],
)
def test_another_process_is_the_command_and_imports_what_this_one_does(
    tmp_path, monkeypatch, paths, typer, code, said
):
    (tmp_path / "typer.py").write_text(typer)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "argv", ["pixelcnn", "--version"])
        patched.setattr(sys, "path", [*paths, "elsewhere"])
        command = launch.this_command()
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (code, said)


def test_one_that_does_not_start_leaves_none_behind(monkeypatch):
    begun, start = [], subprocess.Popen

    def only_once(*words, **more):
        if begun:
            raise BlockingIOError("no more processes")
        begun.append(start(*words, **more))
        return begun[0]

    monkeypatch.setattr(subprocess, "Popen", only_once)
    with pytest.raises(BlockingIOError):
        launch.supervise(python("time.sleep(60)"), devices=2, nodes=1)
    assert begun[0].poll() == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_every_process_once(number, tmp_path):
    code = (
        f"path = {str(tmp_path)!r} + '/' + os.environ['RANK']; seen = []; "
        f"signal.signal({int(number)}, lambda *_: (open(path, 'a').write('x'), seen.append(1))); "
        "open(path + '.ready', 'w').close(); "
        "[time.sleep(0.05) for _ in range(400) if not seen]; time.sleep(0.3); sys.exit(130)"
    )

    def ring():
        while not all((tmp_path / f"{rank}.ready").exists() for rank in "01"):
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=ring).start()
    assert launch.supervise(python(code), devices=2, nodes=1) == 130
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["x", "x"]
    assert signal.getsignal(number) is before


def test_a_signal_between_two_starts_reaches_both(monkeypatch):
    begun, start = [], subprocess.Popen

    def ringing(*words, **more):
        begun.append(start(*words, **more))
        if len(begun) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return begun[-1]

    monkeypatch.setattr(subprocess, "Popen", ringing)
    monkeypatch.setattr(launch, "GRACE", 5.0)
    assert launch.supervise(python("time.sleep(60)"), devices=2, nodes=1) == 1
    assert [process.poll() for process in begun] == [-signal.SIGTERM] * 2


def test_processes_started_by_others_find_their_place():
    slurm = {
        "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "8",
        "SLURM_STEP_NUM_NODES": "2",
    }  # fmt: skip
    assert placed(slurm) == Processes(rank=5, size=8, local_rank=1, local_size=4)
    assert placed(slurm | {"SLURM_STEP_NUM_TASKS": "1"}) is None
    assert placed({"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}) is None, "a batch script, no step"
    with pytest.raises(ConfigError, match="7 tasks on 2 machines"):
        placed(slurm | {"SLURM_STEP_NUM_TASKS": "7"})


def test_a_process_alone_cannot_be_several():
    with pytest.raises(
        ConfigError, match="2 devices on 3 machines are 6 processes, 1 started"
    ) as caught:
        check_size(Processes(), 2, 3)
    assert "torchrun --nproc-per-node 2 --nnodes 3" in caught.value.hint
    check_size(Processes(rank=0, size=6, local_rank=0, local_size=2), 1, 1)
    with pytest.raises(ConfigError), joined(devices=2, nodes=1):
        pass


def test_every_process_has_a_device_of_its_own(monkeypatch):
    processes = Processes(rank=3, size=4, local_rank=1, local_size=2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert processes.device("cuda") == "cuda:1"
    assert processes.device("cpu") == "cpu"
    assert Processes().device("cuda:1") == "cuda:1"
    for device in ("cuda:0", "mps"):
        with pytest.raises(ConfigError, match="serves one process, not 2"):
            processes.device(device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="2 processes, but there are 1 GPUs"):
        processes.device("cuda")


@pytest.mark.parametrize(
    ("hosts", "first"),
    [("one", "one"), ("one,two", "one"), ("n[3-9,12],m1", "n3"), ("gpu[007,009]", "gpu007")],
)
def test_slurm_tells_where_to_meet(hosts, first):
    assert first_host(hosts) == first


MEET = """
import os, signal, time
from torch.distributed import TCPStore
from pixelcnn.training.processes import joined
signal.alarm(40)
place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), 2, os.environ["RANK"] == "0"
store = TCPStore(*place, wait_for_workers=False, multi_tenant=True)  # and with it all addresses stay
for training in range(2):
    time.sleep(training * int(os.environ["RANK"]))  # the first looks for the second before that is there
    with joined(devices=1, nodes=1) as processes:
        assert processes.size == 2
"""


def test_the_same_processes_meet_again_for_another_training():
    assert launch.supervise([sys.executable, "-c", MEET], devices=2, nodes=1) == 0


MISSING = """
import os, signal
from pixelcnn.errors import PixelCNNError
from pixelcnn.training import train_recipe
signal.alarm(60)
try:
    train_recipe("digits", "run", overrides=["data.name=nowhere.npy"], verbose=False)
except PixelCNNError as error:
    with open(os.environ["RANK"], "w") as file:
        file.write(f"{error.exit_code} {error}")
"""


def test_data_that_are_missing_end_all_with_the_same_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert launch.supervise([sys.executable, "-c", MISSING], devices=2, nodes=1) == 0
    first, second = ((tmp_path / rank).read_text() for rank in "01")
    assert first == second and "nowhere.npy" in first


WORDS = [
    "train", "digits", "--run", "run", "--resume", "--batch-size", "400", "--json",
    "--set", "network.width=8", "--set", "network.depth=2", "--set", "training.sample_count=0",
]  # fmt: skip
PIXELCNN = [sys.executable, "-c", "from pixelcnn.cli import main; main()"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


def command(folder, *words, torchrun=False, processes=2, restarts=0):
    """The command line that trains with two processes, or as many."""
    if not torchrun:
        return [*PIXELCNN, *WORDS, *words, "--devices", str(processes)]
    script = folder / "train.py"
    script.write_text("from pixelcnn.cli import main\nmain()\n")
    options = [str(processes), "--max-restarts", str(restarts)]
    return [*TORCHRUN, *options, "--", str(script), *WORDS, *words]


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "torchrun"), [(2, False), (2, True), (1, True)])
def test_the_command_line_trains_with_several_processes(processes, torchrun, tmp_path):
    line = command(tmp_path, "--epochs", "1", torchrun=torchrun, processes=processes)
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1, "one of them speaks for all"
    assert done.stderr.count("epoch 1/1") == 1
    assert ("by 2 processes" in done.stderr) == (processes == 2)
    assert "Warning" not in done.stderr
    assert (tmp_path / "run" / "best.safetensors").exists()


@pytest.mark.slow
def test_torchrun_restarts_after_a_kill_and_ends_the_same(tmp_path):
    (tmp_path / "whole").mkdir()
    words = ("--epochs", "20", "--set", "training.weight_average=0.9")
    whole = command(tmp_path / "whole", *words)
    subprocess.run(whole, cwd=tmp_path / "whole", capture_output=True, check=True)
    run = tmp_path / "run"
    line = command(tmp_path, *words, torchrun=True, restarts=1)
    with subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not any(run.glob("checkpoints/step-*2.ckpt")):
            assert process.poll() is None
            time.sleep(0.02)
        os.kill(int((run / "run.lock").read_text().split()[0]), signal.SIGKILL)
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "going on after step" in (run / "train.log").read_text()
    assert_same_end(run, tmp_path / "whole" / "run")


@pytest.mark.slow
def test_a_mistake_is_told_once(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("")
    done = subprocess.run(
        command(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("pixelcnn: error: ") == 1
