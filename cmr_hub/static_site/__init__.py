"""Search in the visitor's browser: models as ONNX, and galleries as static sites."""
