# Written by narrow 1.2.3. Layer names are the comments behind the lines.

import torch
import pytorch_nndct as py_nndct


class tinymlp(torch.nn.Module):
    def __init__(self):
        super(tinymlp, self).__init__()
        self.module_0 = py_nndct.nn.Input() #tinymlp::input_0
        self.module_1 = py_nndct.nn.Linear(in_features=64, out_features=32, bias=True) #/fc1/Gemm
        self.module_2 = py_nndct.nn.ReLU(inplace=False) #/act/Relu
        self.module_3 = py_nndct.nn.Linear(in_features=32, out_features=16, bias=True) #/fc2/Gemm
        self.module_4 = py_nndct.nn.ReLU(inplace=False) #/act_1/Relu
        self.module_5 = py_nndct.nn.Linear(in_features=16, out_features=10, bias=True) #/fc3/Gemm

    def forward(self, *args):
        output_module_0 = self.module_0(input=args[0])
        output_module_1 = self.module_1(output_module_0)
        output_module_2 = self.module_2(output_module_1)
        output_module_3 = self.module_3(output_module_2)
        output_module_4 = self.module_4(output_module_3)
        output_module_5 = self.module_5(output_module_4)
        return output_module_5
