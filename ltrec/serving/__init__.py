"""An exported model behind HTTP: `ltrec serve ARTEFACT`.

settings.py     limits of the server
served.py       a model that was verified and warmed
request_form.py what requests to a model look like, made from its manifest
faults.py       what is wrong with a request, as one line with the field's name
batcher.py      the bounded queue, and the one thread that owns the model
metrics.py      what Prometheus is told
guard.py        around every request: sizes, counts, the access log
routes.py       the answers
specification.py  OpenAPI
app.py          all of it as an ASGI application
reloading.py    another artefact in place of the one that serves
server.py       the process: port, signals, graceful stop
"""
