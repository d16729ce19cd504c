# Written by narrow 1.2.3. Layer names are the comments behind the lines.

import torch
import pytorch_nndct as py_nndct


class tinyhswish(torch.nn.Module):
    def __init__(self):
        super(tinyhswish, self).__init__()
        self.module_0 = py_nndct.nn.Input() #tinyhswish::input_0
        self.module_1 = py_nndct.nn.Conv2d(in_channels=3, out_channels=8, kernel_size=[3, 3], stride=[2, 2], padding=[1, 1], dilation=[1, 1], groups=1, bias=True) #/stem/stem.0/Conv
        self.module_2 = py_nndct.nn.Hardswish(inplace=False) #/stem/stem.2/Mul
        self.module_3 = py_nndct.nn.Conv2d(in_channels=8, out_channels=16, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/features/features.0/conv/conv.0/Conv
        self.module_4 = py_nndct.nn.Hardswish(inplace=False) #/features/features.0/conv/conv.2/Mul
        self.module_5 = py_nndct.nn.Conv2d(in_channels=16, out_channels=16, kernel_size=[3, 3], stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=16, bias=True) #/features/features.0/conv/conv.3/Conv
        self.module_6 = py_nndct.nn.Hardswish(inplace=False) #/features/features.0/conv/conv.5/Mul
        self.module_7 = py_nndct.nn.Conv2d(in_channels=16, out_channels=8, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/features/features.0/conv/conv.6/Conv
        self.module_8 = py_nndct.nn.Add() #/features/features.0/Add
        self.module_9 = py_nndct.nn.Conv2d(in_channels=8, out_channels=24, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/features/features.1/conv/conv.0/Conv
        self.module_10 = py_nndct.nn.Hardswish(inplace=False) #/features/features.1/conv/conv.2/Mul
        self.module_11 = py_nndct.nn.Conv2d(in_channels=24, out_channels=24, kernel_size=[3, 3], stride=[2, 2], padding=[1, 1], dilation=[1, 1], groups=24, bias=True) #/features/features.1/conv/conv.3/Conv
        self.module_12 = py_nndct.nn.Hardswish(inplace=False) #/features/features.1/conv/conv.5/Mul
        self.module_13 = py_nndct.nn.Conv2d(in_channels=24, out_channels=16, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/features/features.1/conv/conv.6/Conv
        self.module_14 = py_nndct.nn.Conv2d(in_channels=16, out_channels=48, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/features/features.2/conv/conv.0/Conv
        self.module_15 = py_nndct.nn.Hardswish(inplace=False) #/features/features.2/conv/conv.2/Mul
        self.module_16 = py_nndct.nn.Conv2d(in_channels=48, out_channels=48, kernel_size=[3, 3], stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=48, bias=True) #/features/features.2/conv/conv.3/Conv
        self.module_17 = py_nndct.nn.Hardswish(inplace=False) #/features/features.2/conv/conv.5/Mul
        self.module_18 = py_nndct.nn.Conv2d(in_channels=48, out_channels=16, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/features/features.2/conv/conv.6/Conv
        self.module_19 = py_nndct.nn.Add() #/features/features.2/Add
        self.module_20 = py_nndct.nn.Conv2d(in_channels=16, out_channels=32, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/head/head.0/Conv
        self.module_21 = py_nndct.nn.Hardswish(inplace=False) #/head/head.2/Mul
        self.module_22 = py_nndct.nn.AdaptiveAvgPool2d(output_size=[1, 1]) #/GlobalAveragePool
        self.module_23 = py_nndct.nn.Module('nndct_flatten') #/Flatten
        self.module_24 = py_nndct.nn.Linear(in_features=32, out_features=10, bias=True) #/classifier/Gemm

    def forward(self, *args):
        output_module_0 = self.module_0(input=args[0])
        output_module_1 = self.module_1(output_module_0)
        output_module_2 = self.module_2(output_module_1)
        output_module_3 = self.module_3(output_module_2)
        output_module_4 = self.module_4(output_module_3)
        output_module_5 = self.module_5(output_module_4)
        output_module_6 = self.module_6(output_module_5)
        output_module_7 = self.module_7(output_module_6)
        output_module_8 = self.module_8(output_module_2, output_module_7)
        output_module_9 = self.module_9(output_module_8)
        output_module_10 = self.module_10(output_module_9)
        output_module_11 = self.module_11(output_module_10)
        output_module_12 = self.module_12(output_module_11)
        output_module_13 = self.module_13(output_module_12)
        output_module_14 = self.module_14(output_module_13)
        output_module_15 = self.module_15(output_module_14)
        output_module_16 = self.module_16(output_module_15)
        output_module_17 = self.module_17(output_module_16)
        output_module_18 = self.module_18(output_module_17)
        output_module_19 = self.module_19(output_module_13, output_module_18)
        output_module_20 = self.module_20(output_module_19)
        output_module_21 = self.module_21(output_module_20)
        output_module_22 = self.module_22(output_module_21)
        output_module_23 = self.module_23(output_module_22)
        output_module_24 = self.module_24(output_module_23)
        return output_module_24
