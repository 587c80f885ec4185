"""Parts of the script `recommend.py`, which lies in every exported folder as one file (`ltrec.artefact.bundle`).

They import nothing of ltrec but each other.

stored.py     manifest, tables, vocabularies
programs.py   torch.export and ONNX
inputs.py     histories as rectangles
"""
