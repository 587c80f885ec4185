"""A trained run as one folder that runs without ltrec and without its data.

dense/            models as programs over padded histories
items/            the item table: its precision and what that costs, and items that are appended
recommender.py    a run's program and its tables
tables.py         tables as a safetensors file
vocabularies.py   raw ids and words of columns as Arrow files
parity.py         the program against the run, on real histories
facts.py          what the manifest and the card say
card.py           the model card, in Markdown
hub.py            the layout of Hugging Face's hub
torch_format.py   the program as torch.export saves it
onnx_format.py    the program as ONNX
formats.py        both
request.py        options of an export
folder.py         all of it written, with digests, whole or not at all
recommend.py      the script that lies in the folder: plain torch and pyarrow, no ltrec
"""
