// A photo of the visitor's camera, for browsers whose file chooser cannot take one.
const PROBLEMS = {
  NotAllowedError: "The camera may not be used: allow it in the browser's settings of this page",
  NotFoundError: "There is no camera",
  NotReadableError: "The camera is used by another program",
};

export const hasCamera = () =>
  Boolean(navigator.mediaDevices?.getUserMedia) && matchMedia("(pointer: fine)").matches;

// A JPEG, or null if the visitor does not want one. The camera is on only while the dialog is open.
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
