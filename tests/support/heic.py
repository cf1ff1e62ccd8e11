"""A HEIC file of 64 × 96 pixels, red above and blue below; pi-heif cannot write HEIC."""

import base64
import zlib

_DATA = (
    "eNpjYGCQSCupLMhIzUxmAILczDRDCJtRPTe1JJEBAhQzUnKKoGyGgszkEgY0wFeQWZILZjECsVxmTj7YOBcQnxEi"
    "yugOpPuAWDkzMy8NrlYUyEllgvIyypINQczVmQVFBSDlmQXJ+UC6CCjhzMjCAWTOXwFSIPeB4c/fHz8YGPiZFYAa"
    "xR0YeRj//wcpYAarYAYq2cXkoAiUU3NiZESVWKDQ2DrtlafRzgUKIAEwoagEVMruwniwaIOSA9ACkcziglSo50D8"
    "BLBTC3JhIQL0FlMjyNnTclMSQcGBywlAKSJdAFSJ5AArDcb1nA88daIssh///zT1/f8dzZt+Nb6819knPOez6PWn"
    "v16dmTE3pr4vZ262yik+R5GcdBE33hXztjnOdwAAcnVmGg=="
)
HEIC = zlib.decompress(base64.b64decode(_DATA))
