"""Nodes between pixels and latents."""

from __future__ import annotations

from studio.api import Context, Image, Latent, Vae, node


@node(
    "vae_decode",
    category="Latent",
    title="VAE decode",
    device=True,
    shows=True,
    synonyms=("VAEDecode", "VAE Decode", "latent to image"),
)
def vae_decode(ctx: Context, vae: Vae, latent: Latent) -> Image:
    """Turn a latent into a picture.

    Args:
        vae: Autoencoder that belongs to the model.
        latent: Latent to decode.
    """
    from studio.diffusion.autoencoder import decode

    return decode(ctx, vae, latent)


@node(
    "vae_encode",
    category="Latent",
    title="VAE encode",
    device=True,
    synonyms=("VAEEncode", "VAE Encode", "image to latent", "img2img"),
)
def vae_encode(ctx: Context, vae: Vae, image: Image) -> Latent:
    """Turn a picture into a latent; what does not fill a whole latent pixel is cropped, alpha is left out.

    Args:
        vae: Autoencoder that belongs to the model.
        image: Picture to encode.
    """
    from studio.diffusion.autoencoder import encode

    return encode(ctx, vae, image)
