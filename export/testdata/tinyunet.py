# Written by narrow 1.2.3. Layer names are the comments behind the lines.

import torch
import pytorch_nndct as py_nndct


class tinyunet(torch.nn.Module):
    def __init__(self):
        super(tinyunet, self).__init__()
        self.module_0 = py_nndct.nn.Input() #tinyunet::input_0
        self.module_1 = py_nndct.nn.Conv2d(in_channels=3, out_channels=8, kernel_size=[3, 3], stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=1, bias=True) #/e1/e1.0/Conv
        self.module_2 = py_nndct.nn.LeakyReLU(negative_slope=0.1, inplace=False) #/e1/e1.1/LeakyRelu
        self.module_3 = py_nndct.nn.Module('nndct_pad') #/pool/Pad
        self.module_4 = py_nndct.nn.AvgPool2d(kernel_size=[2, 2], stride=[2, 2], padding=[0, 0], ceil_mode=False, count_include_pad=False) #/pool/AveragePool
        self.module_5 = py_nndct.nn.Conv2d(in_channels=8, out_channels=16, kernel_size=[3, 3], stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=1, bias=True) #/e2/e2.0/Conv
        self.module_6 = py_nndct.nn.ReLU(inplace=False) #/e2/e2.1/Relu
        self.module_7 = py_nndct.nn.Interpolate() #/up/Resize
        self.module_8 = py_nndct.nn.ConvTranspose2d(in_channels=16, out_channels=8, kernel_size=[2, 2], stride=[2, 2], padding=[0, 0], output_padding=[0, 0], groups=1, bias=True, dilation=[1, 1]) #/deconv/ConvTranspose
        self.module_9 = py_nndct.nn.Cat() #/Concat
        self.module_10 = py_nndct.nn.Conv2d(in_channels=32, out_channels=8, kernel_size=[3, 3], stride=[1, 1], padding=[1, 1], dilation=[1, 1], groups=1, bias=True) #/d1/d1.0/Conv
        self.module_11 = py_nndct.nn.ReLU(inplace=False) #/d1/d1.1/Relu
        self.module_12 = py_nndct.nn.Conv2d(in_channels=8, out_channels=2, kernel_size=[1, 1], stride=[1, 1], padding=[0, 0], dilation=[1, 1], groups=1, bias=True) #/out/Conv
        self.module_13 = py_nndct.nn.Sigmoid() #/sig/Sigmoid

    def forward(self, *args):
        output_module_0 = self.module_0(input=args[0])
        output_module_1 = self.module_1(output_module_0)
        output_module_2 = self.module_2(output_module_1)
        output_module_3 = self.module_3(output_module_2)
        output_module_4 = self.module_4(output_module_3)
        output_module_5 = self.module_5(output_module_4)
        output_module_6 = self.module_6(output_module_5)
        output_module_7 = self.module_7(output_module_6)
        output_module_8 = self.module_8(output_module_6)
        output_module_9 = self.module_9(output_module_2, output_module_7, output_module_8)
        output_module_10 = self.module_10(output_module_9)
        output_module_11 = self.module_11(output_module_10)
        output_module_12 = self.module_12(output_module_11)
        output_module_13 = self.module_13(output_module_12)
        return output_module_13
