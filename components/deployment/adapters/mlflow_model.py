"""A bundle as an MLflow model, flavour `python_function`, that needs neither torch nor segtune where it is served."""

from pathlib import Path
from tempfile import TemporaryDirectory

from components.deployment.adapters.source import open_bundle
from components.deployment.carried import REQUIREMENTS
from components.errors import MissingExtraError

# MLflow's "models from code": this text is the model, and the bundle's own predictor does the work.
_CODE = '''"""Masks of images by the bundle beside this file."""

import importlib.util
from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Segmentation(PythonModel):
    def load_context(self, context):
        bundle = Path(context.artifacts["bundle"])
        spec = importlib.util.spec_from_file_location("segmentation_bundle", bundle / "predict.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self._predictor = module.Predictor(bundle)

    def predict(self, context, model_input, params=None):
        """From images, an array or a list of arrays as stored, to a list of masks, uint8."""
        return [self._predictor(image) for image in model_input]


set_model(Segmentation())
'''


def write_mlflow(bundle: Path, to: Path) -> None:
    """Write an MLflow model, which `mlflow.pyfunc.load_model(to).predict(images)` loads and asks.

    Args:
        bundle: with its ONNX model; copied into the model.
        to: folder to make.

    Raises:
        BundleError: the bundle is not whole, has no ONNX model, or the folder exists.
        MissingExtraError: mlflow is not installed.

    Example:
        >>> write_mlflow(Path("bundle"), Path("mlflow_model"))  # doctest: +SKIP
    """
    about = open_bundle(bundle, to)
    try:
        import mlflow  # noqa: PLC0415 - an extra
        from mlflow import pyfunc  # noqa: PLC0415 - as above
    except ImportError as error:
        raise MissingExtraError(f"MLflow: {error}. Hint: pip install 'segtune[mlflow]'") from error
    needed = [*(bundle / REQUIREMENTS).read_text(encoding="utf-8").splitlines(), f"mlflow=={mlflow.__version__}"]
    with TemporaryDirectory(prefix="segtune-mlflow-") as place:
        code = Path(place) / "segmentation.py"
        code.write_text(_CODE, encoding="utf-8")
        pyfunc.save_model(
            path=str(to),
            python_model=str(code),
            artifacts={"bundle": str(bundle.resolve())},
            pip_requirements=needed,
            metadata={"study": about["study"], "trial": about["trial"], "classes": about["output"]["classes"]},
        )
