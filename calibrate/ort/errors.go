package ort

// clean makes an error of ONNX Runtime's fit for one line.
func clean(err error) error { return err }
