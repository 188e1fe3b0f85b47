"""The one door to a network: a trained run, a backbone with its weights, a shared folder, or a name on the Hub.

`config` says which network, and is light to import; `opening` opens it, for every verb; `class_names` names its logits.
"""
