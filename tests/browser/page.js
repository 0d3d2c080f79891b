// Steps through a scenario's page in Chromium, and compares what a person sees with the run's JSON.
//
//   node page.js CHROMIUM PAGE.html RUN.json
//
// The last line begins with OK, or says what is wrong.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [executablePath, page_file, json_file] = process.argv.slice(2);
const report = JSON.parse(readFileSync(json_file, "utf8"));

// The sandbox needs rights that containers seldom give; the page is our own.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
try {
  const page = await browser.newPage();
  const troubles = [];
  page.on("pageerror", error => troubles.push(`error: ${error}`));
  page.on("console", message => message.type() === "error" && troubles.push(`console: ${message.text()}`));
  page.on("request", request => request.url().startsWith("file:") || troubles.push(`asks for ${request.url()}`));
  await page.goto(pathToFileURL(page_file).href);

  const opened = Math.max(0, report.runs.findIndex(run => !run.held));
  assert.equal(await shown_step(page), first_to_see(report.runs[opened]) + 1, "a page opens at what failed");
  let steps = 0;
  for (const [index, run] of report.runs.entries()) {
    if (report.runs.length > 1) await page.selectOption("#run", String(index));
    assert.match(await page.innerText("#title"), new RegExp(`^${run.id}: .* ${run.held ? "held" : "FAILED"}$`, "s"));
    assert.equal(await page.locator("#steps > li").count(), run.steps.length, "as many rows as steps");
    await page.keyboard.press("Home");
    for (const [at, step] of run.steps.entries()) {
      if (at) await page.keyboard.press("ArrowRight");
      await sees(page, run, at, step);
      steps += 1;
    }
    await page.keyboard.press("ArrowRight");
    assert.equal(await shown_step(page), run.steps.length, "nothing is after the last step");
    await page.locator("#steps > li > button").first().click();
    assert.equal(await shown_step(page), 1, "a click goes to its step");
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    assert.equal(await shown_step(page), Math.max(1, run.steps.length - 1), "and back from the last");
  }
  assert.deepEqual(troubles, []);
  console.log(`OK ${report.runs.length} runs, ${steps} steps`);
} catch (error) {
  console.log(`FAILED ${error.stack ?? error}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}

function first_to_see(run) {
  return Math.max(0, run.steps.findIndex(step => !step.held));
}

// Which step the page says that it shows; the row that is marked has to be the same.
async function shown_step(page) {
  const step = Number((await page.innerText("#now > .keys")).match(/^step (\d+) of/)[1]);
  const marked = await page.evaluate(() =>
    [...document.querySelectorAll("#steps > li > button")].findIndex(button => button.hasAttribute("aria-current")));
  assert.equal(marked + 1, step, "the step that is marked is the one that is shown");
  return step;
}

async function sees(page, run, at, step) {
  const where = `${run.id} step ${at + 1} (${step.text})`;
  assert.equal(await shown_step(page), at + 1, where);
  // One question a step: what the page shows, as plain values.
  const seen = await page.evaluate(() => {
    const text = element => element.innerText.trim();
    return {
      partitions: [...document.querySelectorAll("#now section")].filter(section => section.querySelector("table")).map(section => ({
        name: text(section.querySelector("h2")),
        head: text(section.querySelector("p")),
        replicas: [...section.querySelectorAll("tr")].slice(1).map(row => ({
          broker: text(row.cells[0]),
          values: [...row.querySelectorAll(".record")].map(record => record.firstChild.data),
          numbers: [...row.cells].slice(3).map(text),
        })),
      })),
      told: [...document.querySelectorAll("#now .told > li")].map(text),
      failures: [...document.querySelectorAll("#now > table")].map(table => [...table.querySelectorAll("pre")].map(text)),
      brokers: text([...document.querySelectorAll("#now section")].at(-1).querySelector("p")),
    };
  });
  assert.deepEqual(seen.partitions.map(partition => partition.name), step.state.partitions.map(partition => partition.name), where);
  for (const [i, partition] of step.state.partitions.entries()) {
    const shown = seen.partitions[i];
    assert.ok(shown.head.startsWith(`leader ${partition.leader ?? "none"}, epoch ${partition.leader_epoch} `), `${where}: ${shown.head}`);
    assert.ok(shown.head.includes(`ISR ${partition.isr.join(", ") || "none"} `), `${where}: ${shown.head}`);
    for (const [j, replica] of partition.replicas.entries()) {
      const row = shown.replicas[j];
      assert.equal(row.broker, `broker ${replica.broker}`, where);
      if (!replica.log) continue;
      assert.deepEqual(row.numbers, [String(replica.log.end), String(replica.log.high_watermark)], where);
      assert.deepEqual(row.values, replica.log.records.map(record => String(record.value)).slice(-200), where);
    }
  }
  assert.deepEqual(seen.told, step.told.map(line => line.trim()), where);
  assert.deepEqual(seen.failures, step.failures.map(failure => [failure.expected.trim(), failure.actual.trim()]), where);
  for (const broker of step.state.brokers) {
    assert.ok(seen.brokers.includes(`${broker.id} ${broker.up ? "up" : "down"}`), `${where}: ${seen.brokers}`);
  }
}
