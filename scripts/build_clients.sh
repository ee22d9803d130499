#!/bin/sh
# Builds the clients that are not Python, with `buf` on PATH: client/typescript/dist and client/cpp/build.
set -eu
cd "$(dirname "$0")/.."

scripts/install_cpp_packages.sh
# Unoptimized: what takes time here is the compiler.
cmake -S client/cpp -B client/cpp/build -DCMAKE_BUILD_TYPE=Debug -DCMAKE_COMPILE_WARNING_AS_ERROR=ON > /dev/null
cmake --build client/cpp/build --parallel 2 -- --no-print-directory

command -v npm > /dev/null || {
    echo "The TypeScript client needs Node 20 or newer with npm, which is not on PATH." >&2
    exit 1
}
cd client/typescript
# npm writes the second file when it has installed what the first one says.
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier
fi
npm run --silent build
