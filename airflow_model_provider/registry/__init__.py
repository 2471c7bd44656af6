"""The model registry: models, versions, stages, history, artifacts' rows, pins and resolutions. Knows SQLAlchemy."""
