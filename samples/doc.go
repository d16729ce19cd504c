// Package samples turns folders of images, .npy and .npz arrays and IDX files
// into batches of tensors for a network.
//
// In comes a path, what the network's inputs look like, and how to preprocess.
// Out come [engine.Batches] in a fixed order, decoded and preprocessed in
// parallel and ahead of their use. The rule of the house: memory stays flat. No more than a
// few batches exist at a time, arrays are read by range, and no allocation is
// sized by a number that a file merely claims.
//
// Where something does not fit, the error is one line that names the file and
// the sample, says what was expected, and tells the way out.
//
// Images are decoded as PIL does it: JPEG chroma is interpolated as libjpeg
// does, resizing is PIL's antialiased bilinear to the bit, alpha is dropped,
// grey and CMYK become RGB. EXIF orientation is not applied, as PIL and
// torchvision do not apply it.
package samples
