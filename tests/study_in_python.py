from hpo_core import Component, Float, Study

study = (
    Study("digits")
    .metric("val_accuracy", "maximize")
    .budget(trials=2)
    .objective(
        "image-classification",
        epochs=1,
        dataset=Component("digits", {"image_size": 16}),
        model="timm/test_resnet",
        optimizer=Component("adamw", {"lr": Float(5e-3, 2e-2, log=True)}),
    )
    .executor("inline")
    .register("tiny-digits")
)
result = study.run()
print(result.best, result.model_version)
