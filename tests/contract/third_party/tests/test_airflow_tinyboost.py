# [START contract]
from pathlib import Path

from airflow_tinyboost import BoosterMaterializer
from tinyboost import Booster

from airflow_model_provider.testing import MaterializerContract


class TestBooster(MaterializerContract):
    materializer = BoosterMaterializer
    examples = {"untrained": Booster(), "two-stumps": Booster().add(0, 0.5, -0.1, 0.1).add(1, 2.0, 0.3, 0.0)}
    golden = Path(__file__).with_name("golden")
    refused = {"own-objective": Booster(objective=abs)}

    def same(self, found: Booster, expected: Booster) -> bool:
        return found.stumps == expected.stumps


# [END contract]
