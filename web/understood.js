// Shows on a node what it said in words: the relations understood, the probabilities read, the report of a run.
import { app } from "../../scripts/app.js";

const SPEAKING = ["LearnToSteer_RelationPrompt", "LearnToSteer_ClassifyRelation", "LearnToSteer_SteeringReport"];
const NAME = "lts_said";

function show(node, text) {
  let widget = node.widgets?.find((w) => w.name === NAME);
  if (!widget) {
    const area = document.createElement("textarea");
    area.readOnly = true;
    area.rows = 2;
    area.className = "comfy-multiline-input";
    area.style.opacity = "0.85";
    widget = node.addDOMWidget(NAME, "text", area, {
      getValue: () => area.value,
      setValue: (value) => { area.value = value ?? ""; },
      getMinHeight: () => 44,
      serialize: false,
    });
    widget.serialize = false; // neither in the saved graph's values nor in the prompt
    widget.serializeValue = () => undefined;
  }
  widget.value = text;
  app.graph?.setDirtyCanvas(true, false);
}

app.registerExtension({
  name: "LearnToSteer.Understood",
  beforeRegisterNodeDef(nodeType, nodeData) {
    if (!SPEAKING.includes(nodeData.name)) return;
    const before = nodeType.prototype.onExecuted;
    nodeType.prototype.onExecuted = function (message) {
      before?.apply(this, arguments);
      if (message?.text) show(this, [].concat(message.text).join("\n"));
    };
  },
});
