// Take a photo with the camera, for browsers whose file chooser does not offer it.
const PROBLEMS = {
  NotAllowedError: "This page may not use the camera; allow it in the site settings of the browser",
  NotFoundError: "No camera was found",
  NotReadableError: "Another program uses the camera",
};

export const hasCamera = () =>
  Boolean(navigator.mediaDevices?.getUserMedia) && matchMedia("(pointer: fine)").matches;

// Return a JPEG, or null if the visitor cancels. The camera is on only while the dialog is open.
export const photograph = async (dialog) => {
  const video = dialog.querySelector("video");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch ({ name }) {
    throw new Error(PROBLEMS[name] ?? "The camera cannot be used");
  }
  try {
    dialog.returnValue = "";
    dialog.showModal();
    video.srcObject = stream;
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "take" || !video.videoWidth) return null;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    return await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  } finally {
    video.srcObject = null;
    stream.getTracks().forEach((track) => track.stop());
  }
};
