"""scikit-learn on manyhands' workers: the same models, scores and choices as in one process."""

from __future__ import annotations

import os

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("joblib")
pytest.importorskip("sklearn")

from joblib import parallel_config  # noqa: E402
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402
from sklearn.datasets import make_classification  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402

import manyhands.joblib  # noqa: E402

GRID = {"C": [0.01, 0.1, 1.0, 10.0]}


@pytest.fixture(scope="module")
def data():
    return make_classification(n_samples=120, n_features=6, random_state=0)


@pytest.fixture(autouse=True)
def _backend():
    with parallel_config(backend="manyhands"):
        yield
    manyhands.joblib.shutdown()


def one_process():
    return parallel_config(backend="sequential")


class SaysWhere(ClassifierMixin, BaseEstimator):
    """An estimator whose score is the pid of the process that computes it."""

    def __init__(self, number=0):
        self.number = number

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return float(os.getpid())


def test_a_grid_search_chooses_what_it_chooses_in_one_process(data) -> None:
    with one_process():
        expected = GridSearchCV(LogisticRegression(), GRID, cv=3).fit(*data)
    found = GridSearchCV(LogisticRegression(), GRID, cv=3, n_jobs=2).fit(*data)
    assert found.best_params_ == expected.best_params_
    assert (found.cv_results_["mean_test_score"] == expected.cv_results_["mean_test_score"]).all()


def test_a_grid_search_runs_in_the_workers(data) -> None:
    scores = cross_val_score(SaysWhere(), *data, cv=6, n_jobs=2)
    assert float(os.getpid()) not in scores
    assert len(set(scores)) <= 2


def test_cross_validation_gives_the_same_scores(data) -> None:
    with one_process():
        expected = cross_val_score(LogisticRegression(), *data, cv=4)
    assert (cross_val_score(LogisticRegression(), *data, cv=4, n_jobs=2) == expected).all()


def test_a_forest_grown_in_workers_is_the_same_forest(data) -> None:
    with one_process():
        expected = RandomForestClassifier(8, random_state=0).fit(*data)
    found = RandomForestClassifier(8, random_state=0, n_jobs=2).fit(*data)
    assert (found.predict_proba(data[0]) == expected.predict_proba(data[0])).all()


def test_a_forest_inside_a_grid_search_is_fine(data) -> None:
    search = GridSearchCV(
        RandomForestClassifier(3, random_state=0, n_jobs=2), {"max_depth": [1, 3]}, cv=2, n_jobs=2
    )
    with one_process():
        expected = search.fit(*data).best_params_
    assert search.fit(*data).best_params_ == expected


def test_large_inputs_that_workers_cannot_write_to_are_fine() -> None:
    X, y = make_classification(n_samples=6000, n_features=40, random_state=0)
    assert X.nbytes > 1 << 20
    with one_process():
        expected = cross_val_score(LogisticRegression(max_iter=200), X, y, cv=3)
    assert np.allclose(cross_val_score(LogisticRegression(max_iter=200), X, y, cv=3, n_jobs=2), expected)


def test_an_estimator_that_raises_is_the_callers_error(data) -> None:
    with pytest.raises(ValueError, match="All the 3 fits failed"):
        cross_val_score(LogisticRegression(C=-1), *data, cv=3, n_jobs=2)
