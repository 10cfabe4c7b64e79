"""Low-rank adapters on a backbone, trained on painted flaws, merged into its weights, drawn as a graph without torch.

The one room, beside `backbones/convert`, that imports torch. What leaves it is a folder with a graph.
"""
