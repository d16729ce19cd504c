"""A transformer whose inputs come as a dict, as tokenizers of Hugging Face give them.

The architecture is a small BERT of the package transformers, with weights by chance; the sentences are numbers. Batches
differ in length, as padded ones do: the dimension is left open.

    python huggingface.py
"""

import argparse
import inspect

import torch
from narrow.torch import torch_quantizer
from torch.utils.data import DataLoader
from transformers import BertConfig, BertForSequenceClassification

STRATEGY = """{
  // Linear layers in 8 bits, one scale for each output; the rest of a transformer is more sensitive.
  "target_device": "CPU",
  "overall_quantize_config": {"datatype": "float32"},
  "layer_quantize_config": [{
    "layer_type": "Linear", "layer_name": null, "quantizable_data_type": ["weights"],
    "overall_quantize_config": {
      "datatype": "int", "bit_width": 8, "method": "maxmin", "round_mode": "half_even", "symmetry": true,
      "per_channel": true, "signed": true, "narrow_range": false, "scale_type": "float", "calib_statistic_method": "max"
    }
  }]
}"""


class Sentences(torch.utils.data.Dataset):
    """Sentences of numbers, of unlike lengths."""

    def __init__(self, n):
        generator = torch.Generator().manual_seed(1)
        self.rows = [torch.randint(5, 200, (int(torch.randint(8, 20, (1,), generator=generator)),), generator=generator) for _ in range(n)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def collate(rows):
    """Pad the sentences of a batch to the longest one, as a tokenizer does."""
    n = max(len(r) for r in rows)
    ids = torch.zeros(len(rows), n, dtype=torch.int64)
    mask = torch.zeros(len(rows), n, dtype=torch.int64)
    for i, r in enumerate(rows):
        ids[i, : len(r)], mask[i, : len(r)] = r, 1
    return {"input_ids": ids, "attention_mask": mask}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", default="quantize_result")
    args = parser.parse_args()
    with open("transformer.json", "w") as f:
        f.write(STRATEGY)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=200, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, num_labels=4)
    if "attn_implementation" in inspect.signature(BertConfig.__init__).parameters or hasattr(config, "_attn_implementation"):
        config._attn_implementation = "eager"  # plain operators, which exporters know best
    model = BertForSequenceClassification(config).eval()
    loader = DataLoader(Sentences(48), batch_size=8, collate_fn=collate)
    example = next(iter(loader))

    quantizer = torch_quantizer("calib", model, input_kwargs=example, quant_config_file="transformer.json", output_dir=args.output_dir)
    for batch in loader:
        quantizer.quant_model(**batch)
    quantizer.export_quant_config()

    quantized = torch_quantizer("test", model, input_kwargs=example, quant_config_file="transformer.json", output_dir=args.output_dir).quant_model
    same = total = 0
    with torch.no_grad():
        for batch in loader:
            want, got = model(**batch), quantized(**batch)
            assert type(got) is type(want)  # a SequenceClassifierOutput
            same += int((want.logits.argmax(1) == got.logits.argmax(1)).sum())
            total += len(got.logits)
    print(f"the float and the quantized network agree on {same} of {total} sentences")


if __name__ == "__main__":
    main()
