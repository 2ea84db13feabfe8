// Shows on a node what it said in words: the relations understood, the probabilities read, the report of a run.
//
// The text stands in the host's own multiline text widget, which both canvases draw: the classic one as a text area, Nodes 2.0
// from the widget's value. It is there from the beginning, so that a node does not grow over its neighbours after a run,
// it is the last one, and it is neither saved with the graph nor sent with the prompt.
import { app } from "../../scripts/app.js";

const SPEAKING = {
  LearnToSteer_RelationPrompt: ["understood", "what was understood stands here after a run"],
  LearnToSteer_ClassifyRelation: ["read", "what was read stands here after a run"],
  LearnToSteer_RelationsFromBoxes: ["understood", "what was understood stands here after a run"],
  LearnToSteer_JudgeByBoxes: ["obeyed or not", "whether the pictures obey stands here after a run"],
  LearnToSteer_SteerOnlyIfNeeded: ["what was found", "what the detector found stands here after a run"],
  LearnToSteer_CheckSteering: ["verdict", "the verdict stands here after a run"],
  LearnToSteer_RelationLayout: ["places", "where each object belongs stands here after a run"],
  LearnToSteer_RecordRelations: ["what was recorded", "what was recorded stands here after a run"],
  LearnToSteer_TrainRelationClassifier: ["how well it reads", "how well it reads stands here after a run"],
  LearnToSteer_SaveRelationClassifier: ["where it is", "where it is stands here after a run"],
  LearnToSteer_SteeringReport: ["what steering did", "what steering did stands here after a run"],
};
const NAME = "said";

function multiline(node) {
  const make = app.widgets?.STRING ?? window.comfyAPI?.widgets?.ComfyWidgets?.STRING;
  return make?.(node, NAME, ["STRING", { multiline: true, default: "" }], app)?.widget;
}

function addText(node) {
  const widget = multiline(node);
  if (!widget) return;
  const [label, empty] = SPEAKING[node.comfyClass ?? node.type] ?? ["", ""];
  widget.label = label;
  widget.serialize = false;
  widget.options = Object.assign(widget.options ?? {}, { serialize: false, read_only: true });
  widget.serializeValue = () => undefined;
  const area = widget.element ?? widget.inputEl;
  if (area) {
    area.readOnly = true;
    area.placeholder = empty;
    area.style.opacity = "0.85";
  }
}

function show(node, message) {
  const widget = node?.widgets?.find((w) => w.name === NAME);
  if (!widget || message?.text === undefined) return;
  widget.value = [].concat(message.text).join("\n");
  app.graph?.setDirtyCanvas(true, false);
}

app.registerExtension({
  name: "LearnToSteer.Understood",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!(nodeData.name in SPEAKING)) return;
    const created = nodeType.prototype.onNodeCreated;
    nodeType.prototype.onNodeCreated = function () {
      created?.apply(this, arguments);
      addText(this);
    };
    const executed = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (message) {
      executed?.apply(this, arguments);
      show(this, message);
    };
  },
  // Another graph was opened, or this one again: the host hands out what the nodes last said.
  onNodeOutputsUpdated(outputs) {
    for (const [number, message] of Object.entries(outputs ?? {})) {
      const node = app.graph?.getNodeById?.(number);
      if (node && node.type in SPEAKING) show(node, message);
    }
  },
});
