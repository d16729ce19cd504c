"""Writes internal/broken/schemas.txt from the operator definitions that come
with ONNX (python package onnx):

    python3 tools/genoperators/schemas.py > internal/broken/schemas.txt

A line is an operator, how many inputs and outputs it takes (least-most, most is
-1 for any number), then name:kind of each attribute that one of its versions
has. Random networks are drawn by it.
"""

import collections

import onnx

KINDS = {
    "FLOAT": "float",
    "INT": "int",
    "STRING": "string",
    "TENSOR": "tensor",
    "GRAPH": "graph",
    "FLOATS": "floats",
    "INTS": "ints",
    "STRINGS": "strings",
}


def span(pairs):
    """The widest of several ranges."""
    most = [-1 if b > 1000 else b for _, b in pairs]
    return f"{min(a for a, _ in pairs)}..{-1 if -1 in most else max(most)}"


def main():
    ops = collections.defaultdict(list)
    for s in onnx.defs.get_all_schemas_with_history():
        if s.domain == "":
            ops[s.name].append(s)
    for name in sorted(ops):
        attributes = {}
        for s in ops[name]:
            for a, v in s.attributes.items():
                kind = str(v.type).rsplit(".", 1)[-1]
                if kind in KINDS:
                    attributes.setdefault(a, KINDS[kind])
        inputs = span([(s.min_input, s.max_input) for s in ops[name]])
        outputs = span([(s.min_output, s.max_output) for s in ops[name]])
        print(" ".join([name, inputs, outputs] + [f"{k}:{v}" for k, v in sorted(attributes.items())]))


main()
