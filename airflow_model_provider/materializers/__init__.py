"""Python object ↔ one file: the only package that knows numpy, pandas, pyarrow, scikit-learn and cloudpickle."""
