"""Tiny dual encoders with random weights, saved by their libraries without a network.

Their weights have a large variance on purpose. With the usual initial weights, all pictures and
texts have nearly the same vector, and tests could not detect a wrong one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer

from cmr_hub.encoders.torchvision_ops import ensure_torchvision

ensure_torchvision()

import transformers  # noqa: E402

SIDE = 32
PATCH = 8
WIDTH = 16
SPACE = 12
CORPUS = [
    "a dog runs over the green meadow",
    "two red buses on a street at night",
    "A Cat sleeps on the sofa, its tail hangs down.",
    "hello world! three men play ball",
    "красный автобус ночью на улице",
    "一只狗在草地上奔跑",
    "ένας σκύλος τρέχει",
]
"""Texts on which the tokenisers are trained."""

TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 2 * WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
VISION = {**TEXT, "image_size": SIDE, "patch_size": PATCH}


def spread(network: torch.nn.Module, seed: int = 0) -> Any:
    """Return the network with all weights and batch statistics drawn with a large variance."""
    generator = torch.Generator().manual_seed(seed)

    def normal(value: torch.Tensor, std: float, mean: float = 0.0) -> None:
        value.copy_(mean + std * torch.randn(value.shape, generator=generator))

    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim == 0 or "logit" in name:
                continue
            if value.ndim == 1:
                is_scale = name.endswith("weight") or "gamma" in name
                normal(value, 0.2, 1.0 if is_scale else 0.0)
            elif "embed" in name and "patch" not in name:
                normal(value, 0.5)
            else:
                normal(value, 1.5 / math.sqrt(value[0].numel()))
        for name, value in network.named_buffers():
            if name.endswith("running_mean"):
                normal(value, 0.1)
            elif name.endswith("running_var"):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
    return network.eval()


def byte_alphabet() -> list[str]:
    """Return the 256 characters that represent bytes in the vocabularies of GPT-2 and CLIP."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return [chr(byte) for byte in shown] + [chr(256 + number) for number in range(len(hidden))]


def clip_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the words and merges of CLIP's byte-level BPE; the end token has the highest id."""
    alphabet = byte_alphabet()
    merges = [("d", "o"), ("do", "g</w>"), ("t", "h"), ("th", "e</w>"), ("c", "a"), ("ca", "t</w>")]
    words = [*alphabet, *(f"{letter}</w>" for letter in alphabet)]
    words += ["".join(pair) for pair in merges] + ["<|startoftext|>", "<|endoftext|>"]
    return {word: number for number, word in enumerate(words)}, merges


def clip_tokenizer(directory: Path, *, legacy: bool = False) -> Any:
    """Return CLIP's tokeniser.

    With `legacy`, write only `vocab.json` and `merges.txt`, as many repositories do, and return the
    size of the vocabulary.
    """
    vocabulary, merges = clip_vocabulary()
    directory.mkdir(parents=True, exist_ok=True)
    if not legacy:
        return transformers.CLIPTokenizer(vocabulary, merges, model_max_length=77)
    (directory / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (directory / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(vocabulary)


def bert_tokenizer(**options: Any) -> Any:
    """Return a WordPiece tokeniser of single characters and a few words, including Chinese."""
    characters = sorted({letter for line in CORPUS for letter in line.lower() if letter != " "})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "dog", "the", "cat", *characters]
    words += [f"##{letter}" for letter in characters]
    vocabulary = {word: number for number, word in enumerate(words)}
    return transformers.BertTokenizer(vocabulary, **options)


def xlm_roberta_tokenizer(**options: Any) -> Any:
    """Return a Unigram tokeniser with the special tokens of XLM-R and padding id 1."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = UnigramTrainer(
        vocab_size=160,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    trained.train_from_iterator(CORPUS, trainer)
    vocabulary = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["vocab"]]
    return transformers.XLMRobertaTokenizer([*vocabulary, ("<mask>", 0.0)], **options)


def siglip_tokenizer(directory: Path) -> Any:
    """Return SigLIP's tokeniser, a SentencePiece model, or an equivalent without that library.

    It lower-cases texts, removes punctuation, adds no start token, pads with the end token, and
    uses 64 tokens.
    """
    try:
        import sentencepiece
    except ImportError:
        return _like_siglip()
    directory.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line.lower() for line in CORPUS] * 4),
        model_prefix=str(directory / "spiece"),
        vocab_size=110,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (directory / "spiece.vocab").unlink()
    return transformers.SiglipTokenizer(
        str(directory / "spiece.model"), model_input_names=["input_ids"]
    )


def _like_siglip() -> Any:
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"[!-/:-@\[-`{-~]"), ""),
            normalizers.Replace(Regex(r"\s+"), " "),
            normalizers.Strip(),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = UnigramTrainer(
        vocab_size=160,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token="</s>",
        pad_token="</s>",
        unk_token="<unk>",
        model_max_length=64,
        model_input_names=["input_ids"],
    )


def gemma_tokenizer_file(directory: Path) -> int:
    """Write Gemma's `tokenizer.json`, a case-sensitive BPE with byte fallback.

    Returns the size of its vocabulary.
    """
    made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = BpeTrainer(
        vocab_size=440,
        special_tokens=["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *bytes_],
        show_progress=False,
    )
    made.train_from_iterator(CORPUS, trainer)
    state = json.loads(made.to_str())
    # Bytes are ordinary tokens; decoding removes only special tokens.
    state["added_tokens"] = state["added_tokens"][:5]
    made = Tokenizer.from_str(json.dumps(state))
    made.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    directory.mkdir(parents=True, exist_ok=True)
    made.save(str(directory / "tokenizer.json"))
    return made.get_vocab_size()


def write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def clip(directory: Path) -> None:
    tokenizer = clip_tokenizer(directory)
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = transformers.CLIPImageProcessor(**size)
    transformers.CLIPProcessor(processor, tokenizer).save_pretrained(directory)
    last = len(tokenizer) - 1
    tokens = {"bos_token_id": last - 1, "eos_token_id": last, "pad_token_id": last}
    config = transformers.CLIPConfig(
        text_config={**TEXT, **tokens, "vocab_size": last + 1, "max_position_embeddings": 77},
        vision_config=VISION,
        projection_dim=SPACE,
    )
    spread(transformers.CLIPModel(config)).save_pretrained(directory)


def siglip(directory: Path) -> None:
    tokenizer = siglip_tokenizer(directory / "made")
    processor = transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
    transformers.SiglipProcessor(processor, tokenizer).save_pretrained(directory)
    config = transformers.SiglipConfig(
        text_config={**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 64},
        vision_config=VISION,
    )
    spread(transformers.SiglipModel(config)).save_pretrained(directory)


def siglip2(directory: Path) -> None:
    """Save a SigLIP 2 of fixed resolution with the settings of google/siglip2-base-patch16-224."""
    size = gemma_tokenizer_file(directory)
    special = ("<pad>", "<eos>", "<bos>", "<unk>")
    tokenizer = {
        "add_bos_token": False,
        "add_eos_token": True,
        "added_tokens_decoder": {
            str(number): {"content": token, "special": True} for number, token in enumerate(special)
        },
        "bos_token": "<bos>",
        "clean_up_tokenization_spaces": False,
        "do_lower_case": True,
        "eos_token": "<eos>",
        "model_input_names": ["input_ids"],
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<pad>",
        "padding_side": "right",
        "processor_class": "SiglipProcessor",
        "tokenizer_class": "GemmaTokenizer",
        "unk_token": "<unk>",
    }
    write_json(directory / "tokenizer_config.json", tokenizer)
    processor = {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "SiglipImageProcessor",
        "image_std": [0.5, 0.5, 0.5],
        "processor_class": "SiglipProcessor",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": SIDE, "width": SIDE},
    }
    write_json(directory / "preprocessor_config.json", processor)
    config = transformers.SiglipConfig(
        text_config={**TEXT, "vocab_size": size, "max_position_embeddings": 64},
        vision_config=VISION,
    )
    spread(transformers.SiglipModel(config)).save_pretrained(directory)


def siglip2_naflex(directory: Path) -> None:
    """Save a SigLIP 2 that preserves the aspect ratio, with at most 256 patches of 16 × 16.

    The processor of transformers requires this number.
    """
    size = gemma_tokenizer_file(directory)
    tokenizer = transformers.Siglip2Tokenizer.from_pretrained(
        directory, padding_side="right", model_input_names=["input_ids"]
    )
    processor = transformers.Siglip2ImageProcessor(patch_size=16, max_num_patches=256)
    transformers.Siglip2Processor(processor, tokenizer).save_pretrained(directory)
    vision = {**TEXT, "patch_size": 16, "num_patches": 256}
    config = transformers.Siglip2Config(
        text_config={**TEXT, "vocab_size": size, "max_position_embeddings": 64},
        vision_config=vision,
    )
    spread(transformers.Siglip2Model(config)).save_pretrained(directory)


def chinese_clip(directory: Path) -> None:
    """Save a Chinese CLIP; its published tokeniser does not define a maximum length."""
    tokenizer = bert_tokenizer(do_lower_case=True)
    size = {"size": {"height": SIDE, "width": SIDE}, "do_center_crop": False}
    processor = transformers.ChineseCLIPImageProcessor(**size)
    transformers.ChineseCLIPProcessor(processor, tokenizer).save_pretrained(directory)
    config = transformers.ChineseCLIPConfig(
        text_config={**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 40},
        vision_config=VISION,
        projection_dim=SPACE,
    )
    spread(transformers.ChineseCLIPModel(config)).save_pretrained(directory)


def align(directory: Path) -> None:
    tokenizer = bert_tokenizer(model_max_length=512)
    size = {"size": {"height": SIDE + 8, "width": SIDE + 8}}
    size |= {"crop_size": {"height": SIDE, "width": SIDE}, "do_center_crop": True}
    processor = transformers.EfficientNetImageProcessor(**size)
    transformers.AlignProcessor(processor, tokenizer).save_pretrained(directory)
    vision = {
        "image_size": SIDE,
        "width_coefficient": 0.25,
        "depth_coefficient": 0.1,
        "hidden_dim": WIDTH,
        "in_channels": [32, 16, 24],
        "out_channels": [16, 24, WIDTH * 4],
        "kernel_sizes": [3, 3, 5],
        "strides": [1, 2, 2],
        "num_block_repeats": [1, 2, 2],
        "expand_ratios": [1, 6, 6],
        "depthwise_padding": [],
        "depth_divisor": 4,
    }
    config = transformers.AlignConfig(
        text_config={**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 512},
        vision_config=vision,
        projection_dim=WIDTH,
    )
    spread(transformers.AlignModel(config)).save_pretrained(directory)


def metaclip_2(directory: Path) -> None:
    """Save a CLIP with the multilingual tokeniser of XLM-R."""
    tokenizer = xlm_roberta_tokenizer(model_max_length=77)
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    processor = transformers.CLIPImageProcessor(**size)
    transformers.CLIPProcessor(processor, tokenizer).save_pretrained(directory)
    tokens = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    config = transformers.MetaClip2Config(
        text_config={
            **TEXT,
            **tokens,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 77,
        },
        vision_config=VISION,
        projection_dim=SPACE,
    )
    spread(transformers.MetaClip2Model(config)).save_pretrained(directory)


def vision_text(directory: Path) -> None:
    """Save a dual encoder of a ViT and a BERT."""
    tokenizer = bert_tokenizer(model_max_length=40)
    processor = transformers.ViTImageProcessor(size={"height": SIDE, "width": SIDE})
    transformers.VisionTextDualEncoderProcessor(processor, tokenizer).save_pretrained(directory)
    text = transformers.BertConfig(
        **TEXT, vocab_size=len(tokenizer), max_position_embeddings=40, architectures=["BertModel"]
    )
    vision = transformers.ViTConfig(**VISION, architectures=["ViTModel"])
    config = transformers.VisionTextDualEncoderConfig.from_vision_text_configs(
        vision, text, projection_dim=SPACE
    )
    spread(transformers.VisionTextDualEncoderModel(config)).save_pretrained(directory)


FAMILIES: dict[str, Callable[[Path], None]] = {
    "clip": clip,
    "siglip": siglip,
    "siglip2": siglip2,
    "siglip2-naflex": siglip2_naflex,
    "chinese-clip": chinese_clip,
    "align": align,
    "metaclip-2": metaclip_2,
    "vision-text": vision_text,
}
"""Dual encoders of transformers by name."""
