"""`hpo export`: a model version as files that others can use without hpo: safetensors, ONNX, labels, a model card."""
