"""Checks files written by `hiprune tap` and `hiprune compile` with Python's own tools.

    python scripts/check-onnx.py original.onnx written.onnx [written.onnx ...]

A written file has to pass onnx.checker (with shape inference) wherever the original does, and to load in Python's ONNX Runtime.
Needs onnx and onnxruntime; the package and its tests do not.
"""
import sys

import onnx
import onnxruntime


def complaint(path):
    """What the checker says, or '' when it says nothing."""
    try:
        onnx.checker.check_model(path, full_check=True)
        return ""
    except Exception as error:  # the checker raises several unrelated types
        return str(error).strip().splitlines()[0]


def main(original, *written):
    before = complaint(original)
    failed = 0
    for path in written:
        after = complaint(path)
        onnxruntime.InferenceSession(path)
        fine = after == before
        failed += not fine
        print("ok  " if fine else "FAIL", path, after)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
