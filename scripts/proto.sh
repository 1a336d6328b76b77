#!/usr/bin/env bash
# Regenerates the stubs beside the .proto files.
#
# Two compilers on purpose. The messages are made by an old one, so that the stubs load on every
# protobuf from 5.29 on: a runtime accepts older generated code, never newer. The types are made by
# today's, because the plugin that writes them needs it. The descriptors hold the comments as well,
# which the stubs lack: /openapi.json is made of them.
set -euo pipefail
cd "$(dirname "$0")/.."

tool() { # tool NAME PACKAGE...: a virtual environment of its own under .tools
    local home=".tools/$1"
    shift
    if [ ! -e "$home/ready" ]; then
        python3 -m venv "$home"
        "$home/bin/pip" install --quiet --disable-pip-version-check "$@"
        touch "$home/ready"
    fi
}
tool protoc-messages grpcio-tools==1.71.2 'setuptools<81'
tool protoc-types grpcio-tools==1.85.1 mypy-protobuf==5.1.0

cd proto
files=(bartizan/v1/*.proto)
../.tools/protoc-messages/bin/python -m grpc_tools.protoc -I . \
    --python_out=. --grpc_python_out=. \
    --include_source_info --descriptor_set_out=bartizan/v1/descriptors.binpb "${files[@]}"
PATH="$PWD/../.tools/protoc-types/bin:$PATH" ../.tools/protoc-types/bin/python \
    -W ignore -m grpc_tools.protoc -I . --mypy_out=. --mypy_grpc_out=. "${files[@]}"
