"""The budget of false rollbacks over releases."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.release.budget import alpha_left, spend


@given(
    st.lists(st.floats(0.0001, 0.4), max_size=60),
    st.floats(0.001, 0.5),
    st.floats(0.0, 0.99),
)
def test_what_is_spent_never_exceeds_the_budget_and_no_release_is_left_without(
    alphas, budget, keep
):
    spent = 0.0
    for alpha in alphas:
        given_ = alpha_left(spent, alpha=alpha, budget=budget, keep=keep)
        assert min(alpha, budget * (1 - keep)) <= given_ * (1 + 1e-9)
        assert given_ <= alpha
        spent = spend(spent, given_, keep=keep)
        assert spent <= budget * (1 + 1e-9)


def test_seldom_releases_have_the_whole_alpha():
    """What one release has spent is nearly forgotten thirty releases later."""
    spent = spend(0.0, 0.01)
    for _ in range(30):
        spent = spend(spent, 0.0)
    assert alpha_left(spent, alpha=0.01, budget=0.0105) == 0.01
