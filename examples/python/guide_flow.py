"""The guide's flow, written for vai_q_pytorch: float, calib, test, deploy.

Run it with narrow behind its calls, unchanged:

    python -m narrow.vai guide_flow.py --quant_mode calib --config_file ../configs/int_config.json
    python -m narrow.vai guide_flow.py --quant_mode test --config_file ../configs/int_config.json
    python -m narrow.vai guide_flow.py --quant_mode test --batch_size 1 --deploy

The network is a small ResNet with weights by chance and the pictures are drawn, so that nothing needs downloading; put
your own in the places of make_model and make_loader.
"""

import argparse

import torch
from pytorch_nndct.apis import Inspector, torch_quantizer
from torchvision.models.resnet import BasicBlock, ResNet

parser = argparse.ArgumentParser()
parser.add_argument("--quant_mode", default="calib", choices=["float", "calib", "test"])
parser.add_argument("--config_file", default=None)
parser.add_argument("--batch_size", default=8, type=int)
parser.add_argument("--subset_len", default=32, type=int)
parser.add_argument("--output_dir", default="quantize_result")
parser.add_argument("--fast_finetune", action="store_true")
parser.add_argument("--deploy", action="store_true")
parser.add_argument("--inspect", action="store_true")
parser.add_argument("--target", default=None)
args = parser.parse_args()
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def make_model():
    torch.manual_seed(0)
    return ResNet(BasicBlock, [1, 1, 1, 1], num_classes=10).eval()


def make_loader(batch_size):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(args.subset_len, 3, 64, 64, generator=generator)
    labels = torch.randint(0, 10, (args.subset_len,), generator=generator)
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=batch_size)


def forward_loop(model, loader):
    model.eval()
    model = model.to(device)
    for images, _ in loader:
        model(images.to(device))


def evaluate(model, loader, loss_fn):
    model.eval()
    model = model.to(device)
    loss, right, total = 0.0, 0, 0
    for images, labels in loader:
        outputs = model(images.to(device))
        loss += loss_fn(outputs, labels.to(device)).item()
        right += int((outputs.argmax(1).cpu() == labels).sum())
        total += len(labels)
    return right / total, loss / total


def main():
    model = make_model()
    example = torch.randn([args.batch_size, 3, 64, 64])
    if args.quant_mode == "float":
        quant_model = model
        if args.inspect:
            Inspector(args.target).inspect(quant_model, (example,), device=device, output_dir=args.output_dir)
            return
    else:
        quantizer = torch_quantizer(
            args.quant_mode, model, (example), device=device, quant_config_file=args.config_file, target=args.target, output_dir=args.output_dir
        )
        quant_model = quantizer.quant_model
    loader = make_loader(args.batch_size)
    if args.fast_finetune:
        if args.quant_mode == "calib":
            quantizer.fast_finetune(forward_loop, (quant_model, loader))
        elif args.quant_mode == "test":
            quantizer.load_ft_param()
    if args.quant_mode == "calib":
        forward_loop(quant_model, loader)
        quantizer.export_quant_config()
    else:
        top1, loss = evaluate(quant_model, loader, torch.nn.CrossEntropyLoss().to(device))
        print(f"loss: {loss:g}")
        print(f"top-1: {top1:g}")
    if args.quant_mode == "test" and args.deploy:
        quantizer.export_torch_script(args.output_dir)
        quantizer.export_onnx_model(args.output_dir)
        quantizer.export_xmodel(args.output_dir)


if __name__ == "__main__":
    main()
