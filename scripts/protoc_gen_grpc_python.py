"""A protoc plugin for `buf generate`: the gRPC Python generator of grpcio-tools.

grpcio-tools has the generator only inside its own protoc, not as a plugin of its own (grpc/grpc#26125). This
hands the descriptors that buf sends to that protoc, and its output back to buf.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from google.protobuf.compiler import plugin_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc


def generate(request: plugin_pb2.CodeGeneratorRequest) -> plugin_pb2.CodeGeneratorResponse:
    """Returns one file for each proto of the request that has a service."""
    services = {file.name for file in request.proto_file if file.service}
    wanted = [name for name in request.file_to_generate if name in services]
    response = plugin_pb2.CodeGeneratorResponse(
        supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    )
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch, "descriptors.bin")
        descriptors.write_bytes(FileDescriptorSet(file=request.proto_file).SerializeToString())
        arguments = [f"--descriptor_set_in={descriptors}", f"--grpc_python_out={scratch}", *wanted]
        if wanted and protoc.main(["protoc", *arguments]) != 0:
            response.error = "the gRPC Python generator failed; its message stands above"
        for path in sorted(Path(scratch).rglob("*_pb2_grpc.py")):
            response.file.add(name=str(path.relative_to(scratch)), content=path.read_text())
    return response


if __name__ == "__main__":
    incoming = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    sys.stdout.buffer.write(generate(incoming).SerializeToString())
