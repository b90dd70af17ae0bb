from studio.catalogue import Catalogue
from studio.spec import NodeSpec
from tests.ui.graph.conftest import CATALOGUE
from ui.graph.search import Wanted, found, score, sockets_for


def titles(query: str, wanted: Wanted | None = None) -> list[str]:
    return [spec.title for spec in found(CATALOGUE, query, wanted)]


def test_a_title_comes_before_a_synonym_and_both_before_the_description() -> None:
    assert titles("mask")[0] == "Mask"
    assert titles("blur") == ["Soften"]
    assert titles("smears") == ["Soften"]


def test_letters_may_be_scattered_and_words_in_any_order() -> None:
    assert titles("sftn") == ["Soften"]
    assert titles("filtering mix") == ["Mix"]
    assert titles("mix filtering") == ["Mix"]


def test_every_word_must_be_found_somewhere() -> None:
    assert titles("mix qqqq") == []
    assert score(NodeSpec("a/b", title="Mix"), "zz") == 0.0


def test_initials_find_a_title_of_several_words() -> None:
    specs = {"a/k": NodeSpec("a/k", title="K sampler"), "a/l": NodeSpec("a/l", title="Load checkpoint")}
    assert [spec.title for spec in found(Catalogue(specs), "lc")] == ["Load checkpoint"]


def test_only_types_with_a_socket_for_the_wire_are_listed() -> None:
    assert set(titles("", Wanted("mask", output=True))) == {"Mix", "Reroute"}
    assert set(titles("", Wanted("mask", output=False))) == {"Mask", "Reroute"}
    assert "Soften" in titles("", Wanted("int", output=True)), "a knob takes it"


def test_the_exact_type_is_wired_before_one_that_takes_anything() -> None:
    assert sockets_for(CATALOGUE.specs["toy/mix"], Wanted("mask", output=True)) == ["mask"]
    assert sockets_for(CATALOGUE.specs["toy/soften"], Wanted("int", output=True))[0] in ("radius", "seed")


def test_recent_types_come_first() -> None:
    assert found(CATALOGUE, "", None, ["toy/show", "toy/mix"])[0].type == "toy/show"


def test_a_whole_word_of_a_title_counts_for_more_than_its_beginning() -> None:
    whole, beginning = NodeSpec("a/e", title="Encode (canny)"), NodeSpec("a/f", title="Encode cannyish")
    assert score(whole, "canny") > score(beginning, "canny")


def test_without_a_query_types_stand_as_a_graph_is_built() -> None:
    places = ("Look inside", "Sampling/Custom", "Loaders", "Conditioning")
    specs = {name: NodeSpec(f"a/{name}", title=name, category=name) for name in places}
    listed = [spec.title for spec in found(Catalogue(specs), "")]
    assert listed == ["Loaders", "Conditioning", "Sampling/Custom", "Look inside"]
