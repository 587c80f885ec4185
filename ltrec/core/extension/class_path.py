"""A class of another package, named in a config in the notation of Lightning's command line, with its arguments.

    class_path: pytorch_lightning.loggers.CSVLogger
    init_args: {name: csv, flush_logs_every_n_steps: 10}

The path is an import of an installed module, never code.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ltrec.core.errors import UserError, first_line, nearest
from ltrec.core.extension.extensions import import_module

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ClassPath:
    """One class to be made.

    Attributes:
        class_path: dotted name of the class.
        init_args: keyword arguments.
    """

    class_path: str
    init_args: Mapping[str, Any] = field(default_factory=dict)


def find_class(spec: ClassPath, base: type[T], where: str) -> type[T]:
    """The class, imported; nothing is made.

    Args:
        spec: from the config.
        base: what it must be a subclass of.
        where: the setting, for messages.

    Raises:
        UserError: there is no such class, it is of another kind, or it does not take these arguments.
    """
    module_name, _, name = spec.class_path.rpartition(".")
    if not module_name:
        raise UserError(f"{where}: class_path {spec.class_path!r} must name a module and a class, as in my_package.MyClass")
    module = import_module(module_name, where)
    found = getattr(module, name, None)
    if found is None:
        known = [other for other, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
        raise UserError(f"{where}: module {module_name} has no {name!r}{nearest(name, known)}")
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UserError(f"{where}: {spec.class_path} is not a subclass of {base.__module__}.{base.__qualname__}")
    _refuse_arguments(spec, found, where)
    return found


def make(spec: ClassPath, base: type[T], where: str, **defaults: Any) -> T:
    """Make it. Arguments of `defaults` are given where the class takes them and the config does not say otherwise.

    Raises:
        UserError: as `find_class`, or the class refuses to be made.
    """
    found = find_class(spec, base, where)
    taken = inspect.signature(found).parameters
    arguments = {**{key: value for key, value in defaults.items() if key in taken}, **spec.init_args}
    try:
        return found(**arguments)
    except Exception as error:
        raise UserError(f"{where}: {spec.class_path} could not be made ({type(error).__name__}: {first_line(error)})") from error


def _refuse_arguments(spec: ClassPath, found: type, where: str) -> None:
    """An argument that the class does not take; what is missing may still come from the defaults."""
    parameters = inspect.signature(found).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for key in spec.init_args:
        if key not in parameters:
            hint = nearest(key, parameters)
            raise UserError(f"{where}: {spec.class_path} takes no {key!r}{hint}; it takes {', '.join(parameters) or 'nothing'}")
