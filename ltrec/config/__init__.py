"""Config floor: every component's dataclass gathered into one `RunConfig`; the only folder that knows OmegaConf.

    dataclass defaults  <-  YAML files, left to right  <-  key=value overrides of the command line  ->  RunConfig (frozen)

    tree.py       RunConfig and the tables of variants (model.name, objective.name)
    files.py      which file a name means: as given, else the one shipped with the package
    yaml_core.py  YAML by the 1.2 core rules
    source.py     text -> settings: dotted key, value and the place it was written
    keys/         keys by other names: of earlier versions, of other libraries, of the library's arguments
    imports.py    modules that register variants of their own
    variants.py   model.name and objective.name choose the dataclass of their section
    settle.py     settings + defaults -> dataclasses, strictly: unknown keys and wrong types are errors
    class_paths.py  a mapping -> a class to be made
    convert.py    one value -> the type of its field
    dump.py       a config as YAML
    load.py       the door: load(files, overrides) and dump(config)

A config is data, not a program: no interpolation, no environment variables (a secret could end up in a run folder), no code. What
it names from outside are installed modules and classes, by their dotted names. What is written is what runs.
"""
