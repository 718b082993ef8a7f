#!/bin/sh
# Builds the program with the feature `cuda` on a machine that has neither a GPU nor the CUDA toolkit: the compiler nvcc and
# the headers and libraries come from NVIDIA's wheels on PyPI (some 1.2 GB). The result runs on a machine with a GPU of compute
# capability 8.0 or higher and its driver; the libraries must be found there too (LD_LIBRARY_PATH, or an installed toolkit).
#
#     scripts/build_cuda.sh [arguments of cargo, such as: build --release --features cuda]
#
# CUDA_TOOLKIT is the folder for the toolkit (target/cuda by default), CUDA_COMPUTE_CAP the capability (80).
set -eu
cd "$(dirname "$0")/.."
toolkit=${CUDA_TOOLKIT:-$PWD/target/cuda}
mkdir -p "$toolkit"
toolkit=$(cd "$toolkit" && pwd)

if [ ! -x "$toolkit/bin/nvcc" ]; then
    python3 -m venv "$toolkit/venv"
    "$toolkit/venv/bin/pip" install --quiet \
        'nvidia-cuda-nvcc==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-runtime==13.0.*' \
        'nvidia-cuda-cccl==13.0.*' 'nvidia-cuda-nvrtc==13.0.*' 'nvidia-cublas==13.0.*' 'nvidia-curand==10.4.0.*'
    wheels=$(echo "$toolkit"/venv/lib/python3*/site-packages/nvidia/cu13)
    mkdir -p "$toolkit/lib64/stubs"
    # A linker looks for names without a version.
    for library in "$wheels"/lib/*; do
        name=$(basename "$library")
        ln -sf "$library" "$toolkit/lib64/$name"
        case $name in *.so.*) ln -sf "$library" "$toolkit/lib64/${name%%.so.*}.so" ;; esac
    done
    ln -sfn "$toolkit/lib64" "$toolkit/lib"
    # The driver's library exists only where there is a driver. While linking, a library stands in for it that has all of
    # the functions that the crate cudarc calls, and does nothing.
    cudarc=$(cargo metadata --format-version 1 --features spiccato-training/cuda \
        | sed 's/.*"manifest_path":"\([^"]*\/cudarc-[^"]*\)\/Cargo.toml".*/\1/')
    grep -rhoE 'fn cu[A-Z][A-Za-z0-9_]*' "$cudarc/src/driver/sys" | sort -u | sed 's/^fn \(.*\)/void \1(void) {}/' \
        | cc -shared -fPIC -x c -Wl,-soname,libcuda.so.1 -o "$toolkit/lib64/stubs/libcuda.so" -
    ln -sf "$toolkit/lib64/stubs/libcuda.so" "$toolkit/lib64/libcuda.so"
    for part in include nvvm bin; do ln -sfn "$wheels/$part" "$toolkit/$part"; done
fi

export CUDA_HOME="$toolkit" CUDA_PATH="$toolkit" CUDA_ROOT="$toolkit" CUDA_TOOLKIT_ROOT_DIR="$toolkit"
export CUDA_COMPUTE_CAP="${CUDA_COMPUTE_CAP:-80}"
export PATH="$toolkit/bin:$PATH"
export LIBRARY_PATH="$toolkit/lib64${LIBRARY_PATH:+:$LIBRARY_PATH}"
if [ $# -eq 0 ]; then
    set -- build --release -p spiccato-cli --features cuda
fi
exec cargo "$@"
