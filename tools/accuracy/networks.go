package main

import (
	"embed"

	"narrow"
	"narrow/samples"
)

// network is a network to measure and the samples for it, as paths below the
// folders of the command line.
type network struct {
	name, title         string
	model               string
	calib, test, labels string
	sorted              bool // by class
	preprocess          samples.Preprocess
	// optional says that tables go without it where its file is absent.
	optional bool
}

var networks = []network{
	{
		"mobilenet", "MobileNet v1 0.25, ImageNet", "mobilenet_v1_0.25_224.onnx",
		"imagenet-sample", "imagenet-sample", "imagenet-sample/labels.csv", true,
		samples.Preprocess{Preset: samples.PM1}, false,
	},
	{
		"squeezenet", "SqueezeNet 1.1, ImageNet", "squeezenet1.1.onnx",
		"imagenet-sample", "imagenet-sample", "imagenet-sample/labels.csv", true,
		samples.Preprocess{Preset: samples.Imagenet}, false,
	},
	{
		"resnet20", "ResNet-20, CIFAR-10", "cifar_resnet20.onnx",
		"cifar10/calib_images.npy", "cifar10/test_images.npy", "cifar10/test_labels.npy", false,
		samples.Preprocess{Preset: samples.Unit, Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}}, false,
	},
	{
		"dscnn", "DS-CNN, Speech Commands", "mlperf_kws_dscnn.onnx",
		"speech-commands/mfcc.npy", "speech-commands/mfcc.npy", "speech-commands/labels.npy", false,
		samples.Preprocess{Preset: samples.None}, false,
	},
	{
		"vit", "Vision transformer, CIFAR-10", "vit_pgd_2_3_16.onnx",
		"cifar10/calib_images.npy", "cifar10/test_images.npy", "cifar10/test_labels.npy", false,
		samples.Preprocess{Preset: samples.Unit, Mean: []float64{0.4914, 0.4822, 0.4465}, Std: []float64{0.2023, 0.1994, 0.2010}}, false,
	},
	{
		// resnet56-4bfd9763.th of github.com/akamaster/pytorch_resnet_cifar10, exported by
		// torch.onnx.export with its first axis open.
		"resnet56", "ResNet-56, CIFAR-10", "resnet56.onnx",
		"cifar10/calib_images.npy", "cifar10/test_images.npy", "cifar10/test_labels.npy", false,
		samples.Preprocess{Preset: samples.Unit, Mean: []float64{0.485, 0.456, 0.406}, Std: []float64{0.229, 0.224, 0.225}}, true,
	},
}

// row is a strategy to measure.
type row struct {
	name, title, file string
	accuracy          narrow.Accuracy
}

var strategies = []row{
	{"int8", "int8 per tensor (the guide's int_config)", "int8.json", narrow.Guide},
	{"int8-high", "int8 per tensor (the guide's int_config)", "int8.json", narrow.High},
	{"int8-per-channel", "int8, weights per channel", "int8_per_channel.json", narrow.Guide},
	{"int8-per-channel-high", "int8, weights per channel", "int8_per_channel.json", narrow.High},
	{"dpu", "DPU default", "dpu.json", narrow.Guide},
	{"dpu-high", "DPU default", "dpu.json", narrow.High},
	{"int8-equalized", "int8 per tensor, equalized, bias corrected", "int8_equalized.json", narrow.Guide},
	{"int8-equalized-high", "int8 per tensor, equalized, bias corrected", "int8_equalized.json", narrow.High},
	{"int8-asymmetric", "int8, weights per channel, asymmetric activations, bias corrected", "int8_per_channel_asymmetric.json", narrow.Guide},
	{"int8-asymmetric-high", "int8, weights per channel, asymmetric activations, bias corrected", "int8_per_channel_asymmetric.json", narrow.High},
	{"int8-channels-high", "the same, equalized", "int8_per_channel_equalized.json", narrow.High},
	{"entropy", "int8 per tensor, entropy", "entropy.json", narrow.Guide},
	{"entropy-high", "int8 per tensor, entropy", "entropy.json", narrow.High},
	{"bfloat16", "bfloat16", "bfloat16.json", narrow.Guide},
	{"int4-weights", "int4 weights per channel, int8 activations, bias corrected", "int4_weights.json", narrow.Guide},
	{"int4-weights-high", "int4 weights per channel, int8 activations, bias corrected", "int4_weights.json", narrow.High},
}

// files are the strategies.
//
//go:embed strategies
var files embed.FS
