#!/bin/sh
# Builds .venv with this package and its extras: sh setup/install.sh [EXTRAS]
#
#   EXTRAS                 comma-separated extras of pyproject.toml, e.g. "test" (default: none)
#   PYTHON                 the interpreter to use instead of the newest one found
#   PIXELCNN_TORCH         another version of PyTorch than constraints.txt names, e.g. "==2.12.*"
#   PIXELCNN_TORCH_INDEX   address of the package index that PyTorch alone is taken from
#
# Everything else about pip (mirrors, proxies, caches) is as the user configured it. A run that
# finds nothing changed ends at once. Exit 2: something is missing, and the message names it.

set -eu
cd "$(dirname "$0")/.."

extras=${1:-}
torch=${PIXELCNN_TORCH:-}
index=${PIXELCNN_TORCH_INDEX:-}
venv_python=.venv/bin/python
needed_mb=3000

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    printf 'setup: error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

# One stamp for each extra, named after all that decides what is installed, and where.
stamps() {
    key=$({ cat pyproject.toml constraints.txt; echo "$torch" "$index" "$PWD"; } | cksum | tr ' ' -)
    for extra in core $(echo "$extras" | tr , ' '); do echo ".venv/installed-$extra-$key"; done
}

up_to_date() {
    [ -x "$venv_python" ] || return 1
    for stamp in $(stamps); do [ -e "$stamp" ] || return 1; done
}

find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "needs Python 3.11 or newer; tried ${PYTHON:-python3.13, python3.12, python3.11, python3}" \
        "Debian, Ubuntu: sudo apt install python3 python3-venv; macOS: brew install python@3.13"
}

create_venv() {
    python=$(find_python)
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
        die "Python $version at $python lacks its venv or ensurepip module" \
            "Debian, Ubuntu: sudo apt install python$version-venv"
    fi
    say "creating .venv with Python $version ($python)"
    "$python" -m venv .venv ||
        die "Python $version could not create .venv" "remove the folder .venv and try again"
}

check_disk() {
    free_mb=$(df -Pk . | awk 'NR == 2 { print int($4 / 1000) }')
    [ "$free_mb" -ge "$needed_mb" ] ||
        die "$free_mb MB free here, $needed_mb MB needed" "free some disk space"
}

announce() {
    say "installing PyTorch and some 60 smaller packages into .venv:"
    say "  with a CPU build of PyTorch about 350 MB to download, 1.5 GB on disk"
    if [ "$(uname -sm)" = "Linux x86_64" ] && [ -z "$index" ]; then
        say "  the usual build for x86 Linux adds several GB of CUDA libraries;"
        say "  README.md says how to have pip take the CPU build"
    fi
}

install() {
    # A PyTorch that the user asked for by version is not held to ours.
    sed -e "${torch:+/^torch==/d}" constraints.txt > .venv/constraints.txt
    say "PyTorch $torch"
    "$venv_python" -m pip install --disable-pip-version-check \
        ${index:+--index-url "$index"} -c .venv/constraints.txt "torch$torch"
    say "pixelcnn ${extras:+with extras $extras}"
    "$venv_python" -m pip install --disable-pip-version-check --quiet \
        -c .venv/constraints.txt -e ".${extras:+[$extras]}"
}

case $torch in
    "" | [=\<\>!~]*) ;;
    *) die "PIXELCNN_TORCH='$torch' is not a version such as '==2.12.*'" \
        "for a CPU build set PIXELCNN_TORCH_INDEX to the address of PyTorch's CPU wheels" ;;
esac
if up_to_date; then exit 0; fi
if ! "$venv_python" -m pip --version >/dev/null 2>&1; then
    check_disk
    create_venv
fi
if ! "$venv_python" -c 'import torch.version' >/dev/null 2>&1; then
    check_disk
    announce
fi
install
touch $(stamps)
say "done"
