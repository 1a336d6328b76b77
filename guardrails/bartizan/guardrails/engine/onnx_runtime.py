"""onnxruntime, told to keep to itself before it is loaded.

Its own builds count how they are used: they write a file into the folder for temporary files, and
would tell Microsoft. What judges people's texts talks to nobody.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime  # it reads the variable when it is imported

__all__ = ["onnxruntime"]
