// Package export writes a calibrated plan in the forms that others read.
//
// In goes an [Input]: a plan with the encodings that calibration found. Out
// come a QDQ network in ONNX ([QDQ]), quant_info.json ([NewQuantInfo]), the
// listing <Model>.py ([Listing]), quant_info.json in vai_q_pytorch's own form
// ([VAI]), and bias_corr.json ([MarshalBiasCorr]). Nothing here calibrates or
// runs a network.
//
// Rule of the house: an export says what it could not hold. What a target
// cannot express is a finding, never a silent approximation, and the same
// input gives the same bytes.
package export
