from hpo_core import Datasets, Registry

registry = Registry.open("sqlite:///runs/hpo.db")
registry.promote("tiny-digits", "production")
version = registry.verified("tiny-digits@production")  # every file is as it was registered
print(version.label, version.value, version.sha256)

datasets = Datasets.open("sqlite:///runs/hpo.db")
made = datasets.create("pets", "data/pets")
print(made.version.label, made.version.root, datasets.runs("pets@1"))
