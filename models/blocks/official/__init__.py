"""Published weights: ``from_official`` builds the block that computes what the module of another repository computes,
from the state dict of that module.

    repository                             names                           keys
    SNL_ICCV2021 (2108.02451)              snl, nl, ns, a2, dnl, caylay    t, p, stages.i.{g, w_1, w_2, w_m, w_h, bn}
                                           cgnl                            t, p, g, z, gn
                                           cc                              query_conv, key_conv, value_conv, gamma
    spectral-nonlocal-block (1911.01059)   snl_2019, gsnl_2019             t, p, stages.i.{g, w_1, w_2, w_3, bn}
    cgnl-network.pytorch (1810.13125)      cgnl                            t, p, g, z, gn
                                           nl                              t, p, g, z, bn
    mmcv (NonLocal1d, 2d, 3d)              nl                              g.conv, theta.conv, conv_out.{conv, bn} ...
    AlexHex7/Non-local_pytorch             nl                              g, theta, phi, W.0, W.1, concat_project.0
    SlowFast                               nl                              conv_g, conv_theta, conv_phi, conv_out, bn
    timm (NonLocalAttn)                    nl                              t, p, g, z, norm
    DNL-Semantic-Segmentation (2006.06668) dnl                             conv_query, conv_key, conv_value, gamma ...
    mmsegmentation (DisentangledNonLocal)  dnl                             theta.conv, ..., conv_mask
    Double-Attention-Network (1810.11579)  a2                              convA, convB, convV, conv_reconstruct
    torchvision, timm, SELayer             se                              fc1, fc2; fc.0, fc.2
    ECANet (1910.03151), timm              eca                             conv
    mmcv (ContextBlock)                    gc                              conv_mask, channel_add_conv, channel_mul_conv
    attention-module (1807.06521), timm    cbam                            ChannelGate, SpatialGate; channel, spatial
    timm (GatherExcite)                    ge                              gather, mlp
    bottleneck-transformer-pytorch         bot_mhsa                        to_qkv, pos_emb
    timm (HaloAttn)                        halo                            q, kv, pos_embed
    HorNet (2207.14284)                    gnconv                          proj_in, dwconv, pws, proj_out
    polynomials-for-augmenting-NNs         pdc                             conv1, u_conv1, lconv0, alpha ...
    Enjoy-Hamburger (2109.04553)           ham_nmf, ham_vq, ham_cd         bases
    dcd (2103.08756)                       dcd                             conv, q, p, bn1, bn2, fc, fc_phi, fc_scale
    Dynamic-convolution-Pytorch            dynamic_conv                    weight, bias, attention.fc1, attention.fc2
    DRConv-PyTorch (2003.12243)            drconv                          conv_kernel.1, conv_kernel.3, conv_guide
    LinearConv (1907.11432)                linear_conv                     conv_weights, linear_weights, bias
    HyperNets (2110.04176)                 phc                             A, F
    Efficient-AI-Backbones (1911.11907)    ghost                           primary_conv, cheap_operation
    SDA-xNet (2209.10327)                  sda, sda_stage                  fc, fcs; layers

The gate of the block is 1 where the published module has none. SNL's ``a2`` is a relu product without normalisation and
becomes the block ``relu_dot``; its ``caylay`` is a polynomial and becomes ``cayley`` with ``form="published"``.
"""

from specvid.models.blocks.official import (
    channel_blocks,
    convolutions,
    depth,
    long_range_blocks,
    nonlocal_blocks,
    stages,
)
from specvid.models.blocks.official.conversion import from_official

__all__ = ["channel_blocks", "convolutions", "depth", "from_official", "long_range_blocks", "nonlocal_blocks", "stages"]
