"""Policies on cached scores: hand-worked choices, and the same answers as `tag` on a real video."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import SUM

from nsnet_cli.calibration import Calibration
from nsnet_cli.evaluation.certain import certain, intersection_over_union
from nsnet_cli.evaluation.evaluate import score_video
from nsnet_cli.evaluation.policies import (
    ScoredVideo,
    accuracy,
    choose,
    coverage,
    frames_used,
    localisation,
    policies_for,
    video_scores,
)
from nsnet_cli.labelled.features import Extractor, FeatureCache
from nsnet_cli.labelled.labels import LabelledVideo
from nsnet_cli.reading import read_options
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions
from nsnet_cli.video import open_video

PEAK = Calibration(("peak",), (1.0,), 0.0)


def video(salient: list[int] | None = None, **changes: object) -> ScoredVideo:
    """Six frames, two classes. Frames 2 and 3 show class 1: nsnet is right, confidence is wrong."""
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
    made = ScoredVideo(
        name="v",
        labels=(1,),
        pts_s=np.arange(6.0),
        saliency={
            "nsnet": np.array([0.0, 0.1, 0.9, 0.8, 0.1, 0.0]),
            "confidence": np.array([0.9, 0.8, 0.5, 0.4, 0.3, 0.2]),
        },
        scores=scores,
        salient=None if salient is None else np.isin(np.arange(6), salient),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_choices_by_hand() -> None:
    v = video([2, 3])
    assert choose(v, "nsnet", 2).tolist() == [2, 3]
    assert choose(v, "confidence", 2).tolist() == [0, 1]
    assert choose(v, "dense", 2).tolist() == [0, 1, 2, 3, 4, 5]
    assert sorted(choose(v, "oracle", 1).tolist()) == [3] and choose(v, "oracle", 4).tolist() == [2, 3]
    assert len(set(choose(v, "random", 4, seed=3).tolist())) == 4


def test_oracle_without_a_frame_in_the_segment_is_uniform() -> None:
    assert choose(video([]), "oracle", 2).tolist() == choose(video(), "uniform", 2).tolist()


def test_scores_by_hand() -> None:
    v = video([2, 3])
    by_hand = {"nsnet": ([2, 3], v.saliency["nsnet"]), "oracle": ([2, 3], np.ones(6)), "dense": (range(6), np.ones(6))}
    for policy, (chosen, saliency) in by_hand.items():
        weights = [saliency[i] * max(v.scores[i]) ** 3 for i in chosen]  # saliency, and how sure the frame is
        expected = sum(w * v.scores[i][1] for w, i in zip(weights, chosen, strict=True)) / sum(weights)
        assert video_scores(v, policy, 2)[1] == pytest.approx(expected)
    assert accuracy([v], "nsnet", 2).top1 == 1 and accuracy([v], "confidence", 2).top1 == 0
    assert accuracy([v], "dense", 2).top5 == 1


def test_saliency_is_judged_where_segments_are_known() -> None:
    v = video([2, 3])
    found = localisation([v, video()], "nsnet")
    assert found is not None and found.roc_auc == 1 and found.average_precision == 1
    wrong = localisation([v], "confidence")
    assert wrong is not None and wrong.roc_auc == pytest.approx(4 / 8)
    assert localisation([v], "uniform") is None and localisation([video()], "nsnet") is None
    assert coverage([v, video([]), video()]) == 0.5


def test_which_policies_and_what_they_cost() -> None:
    assert policies_for([video([2])]) == ("nsnet", "confidence", "uniform", "random", "dense", "oracle")
    assert policies_for([video()]) == ("nsnet", "confidence", "uniform", "random", "dense")
    assert frames_used(video(), "nsnet", 2) == (6, 2, True)
    assert frames_used(video(), "confidence", 2) == (6, 2, False)
    assert frames_used(video(), "uniform", 2) == (0, 2, False) and frames_used(video(), "dense", 2) == (0, 6, False)


@pytest.mark.parametrize("policy", ["nsnet", "confidence", "dense"])
def test_evaluate_judges_what_tag_answers(tagger: Tagger, cat_video: Path, tmp_path: Path, policy: str) -> None:
    options = TagOptions(policy=policy, frames=3, preview=24, top_k=5, precision=0)  # guesses alone
    tagger = Tagger(tagger.checkpoint, tagger.engine, options)
    read = read_options(tagger.checkpoint, TagOptions(preview=24), jpegs=False, threads=1)
    cache = FeatureCache(tmp_path)
    found = Extractor(tagger.checkpoint, read, lambda: tagger.engine, open_video, cache).video(cat_video)
    labelled = LabelledVideo(cat_video, ("tabby",), "here", None, ((8.0, 12.0),))
    scored = score_video(labelled, (281,), found, tagger.checkpoint, tagger.engine)
    if policy not in policies_for([scored]):
        pytest.skip("this checkpoint has no sampler")
    scores, result = video_scores(scored, policy, 3), tagger.tag(cat_video)
    chosen = found.pts_s[np.sort(choose(scored, policy, 3))]
    assert chosen.tolist() == [frame.pts_s for frame in result.salient_frames]
    assert [tagger.checkpoint.vocabulary[i].id for i in np.argsort(-scores)[:3]] == [tag.id for tag in result.tags[:3]]
    assert np.sort(scores)[::-1][:5] == pytest.approx([tag.score for tag in result.tags], abs=5e-3)


@pytest.mark.parametrize(
    ("policy", "calibration"), [("nsnet", SUM), ("confidence", SUM), ("uniform", PEAK), ("dense", PEAK)]
)
def test_evaluate_judges_the_certain_tags_of_tag(
    tagger: Tagger, cat_video: Path, tmp_path: Path, policy: str, calibration: Calibration
) -> None:
    """The same tags with the same probabilities and spans, from features in half precision."""
    checkpoint = replace(tagger.checkpoint, calibration=calibration)
    tagger = Tagger(checkpoint, tagger.engine, TagOptions(policy=policy, frames=6, preview=24, precision=0.7))
    read = read_options(checkpoint, TagOptions(preview=24), jpegs=False, threads=1)
    found = Extractor(checkpoint, read, lambda: tagger.engine, open_video, FeatureCache(tmp_path)).video(cat_video)
    segments = ((8.0, 12.0),)
    scored = score_video(
        LabelledVideo(cat_video, ("tabby",), "here", None, segments), (281,), found, checkpoint, tagger.engine
    )
    if policy not in policies_for([scored]):
        pytest.skip("this checkpoint has no sampler")
    if policy == "uniform":  # tag decodes other frames for it
        tagger = Tagger(checkpoint, tagger.engine, replace(tagger.options, frames=len(found.pts_s)))
    tags = [tag for tag in tagger.tag(cat_video).tags if tag.certain]
    measured = certain([scored], policy, tagger.options.frames, tagger.judge, 0.7)
    assert tags and measured is not None
    right = [tag for tag in tags if tag.id == "n02123045" or tagger.judge.hierarchy.descends("n02123045", tag.id)]
    assert (measured.promise.tags_right, measured.promise.tags_wrong) == (len(right), len(tags) - len(right))
    spans = [(span.start_s, span.end_s) for tag in right for span in tag.spans]
    assert right and measured.span_iou == pytest.approx(intersection_over_union(spans, segments), abs=0.02)
