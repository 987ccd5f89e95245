#!/bin/sh
# Writes constraints.txt from what .venv holds: names and versions, nothing a machine could add.
#
# Local version tags (+cpu) go, since the build of a wheel is the machine's own affair; so do the
# packages that only some builds of PyTorch bring along.

set -eu
cd "$(dirname "$0")/.."

{
    echo "# The exact versions the tests ran with. Written by: make constraints"
    .venv/bin/python -m pip --disable-pip-version-check freeze --all --exclude-editable |
        sed -e 's/+.*//' |
        grep -E '^[A-Za-z0-9._-]+==[^ ]+$' |
        grep -viE '^(pixelcnn=|pip=|wheel=|nvidia-|cuda-|triton|pytorch-triton)' |
        LC_ALL=C sort -f
} > constraints.txt.new
mv constraints.txt.new constraints.txt
