"""The Hugging Face Hub: a bundle's way there and back, and every refusal in one line.

Knows repositories and file names; knows nothing of networks.
"""

import contextlib
import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import huggingface_hub
import torch
from huggingface_hub import ModelCard, ModelHubMixin, errors

from thumbnet.errors import CheckpointError, ThumbNetError
from thumbnet.model_card import CardFacts, write_card
from thumbnet.run_folder import RunFolder
from thumbnet.storage import storage_errors

BUNDLE_FILES = ("thumbnet.json", "downscaler.safetensors", "student.safetensors")
Bundle = TypeVar("Bundle", bound="HubBundle")
LOGIN = "log in with `hf auth login`"


def download(repository: str, files: Sequence[str], **options: Any) -> Path:
    """Fetches files of a repository into the Hub's cache on this machine.

    Args:
        repository: `OWNER/NAME`.
        files: Names of the files; nothing else of the repository is fetched.
        **options: Of `huggingface_hub.snapshot_download`: `revision`, `token`, `cache_dir`, `force_download`,
            `local_files_only`.

    Returns:
        The folder that holds them.

    Raises:
        CheckpointError: If they cannot be had.
        StorageError: If the disk is full.
    """
    with hub_errors(repository):
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=list(files), **options))


class HubBundle(
    ModelHubMixin,
    library_name="thumbnet",
    pipeline_tag="image-classification",
    tags=["thumbnet", "knowledge-distillation", "downscaling"],
    paper_url="https://arxiv.org/abs/1904.05034",
):
    """What huggingface_hub's mixin asks of a bundle, with the model card of the run that it was loaded from.

    There is no config.json: thumbnet.json says it all.

    Args:
        run: The run folder that the bundle comes from; None gives a card without numbers.
    """

    def __init__(self, run: Path | None) -> None:
        self._hub_mixin_config = None  # the mixin would write the arguments of the constructor as config.json
        self.run = run

    @classmethod
    def load(cls, path: Path | str, *, allow_code: bool, device: str | torch.device) -> "HubBundle":
        """Loads a bundle from a folder."""
        raise NotImplementedError

    def save(self, path: Path | str) -> None:
        """Writes the bundle's files to a folder."""
        raise NotImplementedError

    def _card_facts(self) -> CardFacts:
        raise NotImplementedError

    @classmethod
    def from_pretrained(
        cls: type[Bundle],
        pretrained_model_name_or_path: Path | str,
        *,
        allow_code: bool = False,
        device: str | torch.device = "cpu",
        **options: Any,
    ) -> Bundle:
        """Loads a bundle from a folder or from a repository on the Hub.

        The mixin would read a config.json first; a stranger's has no say here, and only a bundle's three files are
        fetched.

        Args:
            pretrained_model_name_or_path: A folder, or `OWNER/NAME`.
            allow_code: Import the `package.module:factory` that the bundle names. Only for bundles you trust.
            device: Where it computes.
            **options: `revision`, `token`, `cache_dir`, `force_download`, `local_files_only`.

        Raises:
            CheckpointError: If there is no bundle, it is damaged, needs code that is not allowed, or cannot be fetched.
        """
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            folder = download(str(pretrained_model_name_or_path), BUNDLE_FILES, **options)
        return cast(Bundle, cls.load(folder, allow_code=allow_code, device=device))

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Writes the bundle and its model card to a folder; a README.md that is already there is kept.

        Args:
            save_directory: The folder.
            **options: Of the mixin's `save_pretrained`: `push_to_hub`, `repo_id`, `model_card_kwargs`.

        Returns:
            What `push_to_hub` returns, if it was asked for.

        Raises:
            StorageError: If the disk is full.
            ConfigError: If the folder may not be written to.
        """
        with storage_errors(Path(save_directory)):
            address: str | None = super().save_pretrained(save_directory, **options)
        return address

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Uploads the bundle and its model card to a repository, which is made if there is none.

        Args:
            repo_id: `OWNER/NAME`.
            **options: Of the mixin's `push_to_hub`: `private`, `token`, `branch`, `commit_message`, `create_pr`,
                `model_card_kwargs` (fields of the card's metadata, such as `{"license": "mit"}`).

        Returns:
            The address of the commit.

        Raises:
            CheckpointError: If the Hub refuses it.
        """
        options["model_card_kwargs"] = {"repository": repo_id, **(options.get("model_card_kwargs") or {})}
        with hub_errors(repo_id):
            address: str = super().push_to_hub(repo_id, **options)
        return address

    def generate_model_card(self, *, repository: str | None = None, **metadata: Any) -> ModelCard:
        """The card that `save_pretrained` and `push_to_hub` write as README.md, where there is none yet.

        Args:
            repository: `OWNER/NAME` for the card's examples.
            **metadata: Fields of `huggingface_hub.ModelCardData`.
        """
        info: dict[str, Any] = self._hub_mixin_info.model_card_data.to_dict()  # type: ignore[no-untyped-call]
        run = RunFolder(self.run) if self.run else None
        return write_card(self._card_facts(), run, repository, {**info, **metadata})

    def _save_pretrained(self, save_directory: Path) -> None:
        self.save(save_directory)


@contextlib.contextmanager
def hub_errors(repository: str) -> Iterator[None]:
    """Turns the Hub's refusals and those of the network into one clear line.

    Raises:
        CheckpointError: Saying what the Hub refuses and what to do.
        StorageError: If the disk is full.
    """
    try:
        yield
    except ThumbNetError:
        raise
    except (errors.HFValidationError, OSError, _network_error()) as error:
        with storage_errors(Path(repository)):
            # The disk's own refusals name a file or lack space; those of a socket do neither.
            if isinstance(error, OSError) and (error.filename or error.errno == errno.ENOSPC):
                raise
        raise CheckpointError(f"hub: {_explain(repository, error)}") from error


def _explain(repository: str, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    # The first that fits: a gated repository is among those that are not found.
    known = (
        (errors.HFValidationError, "is neither a folder nor the name of a repository; give OWNER/NAME"),
        (errors.GatedRepoError, f"is gated; ask for access on its page, then {LOGIN}"),
        (errors.RevisionNotFoundError, "has no such revision; give a branch, a tag or a commit of it"),
        (
            errors.RepositoryNotFoundError,
            f"is neither a folder here nor a repository that you may see; check the name, or {LOGIN}",
        ),
        (errors.LocalTokenNotFoundError, f"needs an account; {LOGIN}"),
    )
    for kind, message in known:
        if isinstance(error, kind):
            return f"{repository} {message}"
    if status in (401, 403):
        return f"{repository} may not be read or written with this account; check the owner's name, or {LOGIN}"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return f"{repository} cannot be reached ({reason}); check the network"


def _network_error() -> type[Exception]:
    # Of httpx or of requests, as the installed huggingface_hub has it.
    found: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return found
