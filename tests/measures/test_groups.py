import numpy as np

from latreg.measures.groups import by_centrality, count_groups, group


def test_groups_and_what_to_read_of_them():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(n, 2)) * 0.01 + 10 * place for place, n in ((0, 3), (1, 9), (2, 5))])
    labels = group(features, groups=3)
    assert [len(set(labels[part])) for part in (slice(0, 3), slice(3, 12), slice(12, 17))] == [1, 1, 1]
    ranked = by_centrality(features, labels)
    assert [sorted(members) for members in ranked] == [[*range(3, 12)], [*range(12, 17)], [0, 1, 2]]
    for members in ranked:
        distances = ((features[members] - features[members].mean(axis=0)) ** 2).sum(axis=1)
        assert (np.diff(distances) >= 0).all()
    assert len(set(group(features, groups=100))) <= 17


def test_no_two_of_a_counted_group_are_further_apart():
    line = np.array([[0.0], [1.0], [2.0], [7.0]])
    assert [count_groups(line, apart) for apart in (0.5, 1.0, 2.0, 6.9, 7.0)] == [4, 3, 2, 2, 1]


def test_groups_of_hardly_anything():
    assert group(np.empty((0, 3)), 4).tolist() == []
    assert group(np.ones((1, 3)), 4).tolist() == [0]
    assert [count_groups(np.ones((n, 3)), 0.5) for n in range(4)] == [0, 1, 1, 1]
    assert by_centrality(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == []
