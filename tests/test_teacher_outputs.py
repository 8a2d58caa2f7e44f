"""What a cached teacher is taken to say of a mix: probabilities by shares, at the loss's temperature."""

import pytest
import torch

from thumbnet.data.mixing import Mix
from thumbnet.losses import knowledge_distillation, multilabel_distillation
from thumbnet.teacher_outputs import mixed_logits

# Probabilities of 3/4 and 1/4, and of 1/2 each.
LOGITS = torch.tensor([[3.0, 1.0], [1.0, 1.0]]).log()
BOX = (0.0, 0.0, 0.5, 0.5)


@pytest.mark.parametrize("mix", [Mix(share=0.75), Mix(share=0.75, box=BOX)])
def test_probabilities_are_mixed_by_shares(mix: Mix) -> None:
    mixed = mixed_logits(LOGITS, mix, temperature=1.0, multilabel=False)
    wanted = [[0.75 * 3 / 4 + 0.25 / 2, 0.75 / 4 + 0.25 / 2], [0.75 / 2 + 0.25 * 3 / 4, 0.75 / 2 + 0.25 / 4]]
    torch.testing.assert_close(mixed.exp(), torch.tensor(wanted))


def test_each_label_is_mixed_by_itself_where_a_picture_may_have_several() -> None:
    # Present with 3/4 and 1/2 in the first picture, with 1/2 and 1/2 in the second.
    mixed = mixed_logits(LOGITS, Mix(share=0.4), temperature=1.0, multilabel=True)
    first, second = 0.4 * 3 / 4 + 0.6 / 2, 0.4 / 2 + 0.6 * 3 / 4
    torch.testing.assert_close(torch.sigmoid(mixed), torch.tensor([[first, 0.5], [second, 0.5]]))


@pytest.mark.parametrize("multilabel", [False, True])
def test_distillation_towards_a_mix_is_the_mix_of_the_distillations(multilabel: bool) -> None:
    distil = multilabel_distillation if multilabel else knowledge_distillation
    random = torch.Generator().manual_seed(0)
    teacher, student = torch.randn(2, 5, generator=random) * 4, torch.randn(2, 5, generator=random)
    mixed = mixed_logits(teacher, Mix(share=0.3), temperature=3.0, multilabel=multilabel)
    apart = 0.3 * distil(student, teacher, 3.0) + 0.7 * distil(student, teacher.roll(1, 0), 3.0)
    torch.testing.assert_close(distil(student, mixed, 3.0), apart)


@pytest.mark.parametrize("multilabel", [False, True])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_everything_or_nothing_is_one_of_the_answers(share: float, multilabel: bool) -> None:
    certain = torch.tensor([[900.0, -900.0], [-3.0, 2.0]])
    mixed = mixed_logits(certain, Mix(share=share), temperature=2.0, multilabel=multilabel)
    wanted = certain if share else certain.roll(1, 0)
    assert bool(torch.isfinite(mixed).all())
    torch.testing.assert_close((mixed / 2).softmax(dim=1), (wanted / 2).softmax(dim=1))
